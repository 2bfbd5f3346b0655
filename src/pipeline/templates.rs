//! Templates of pipeline files: what a new pipeline begins with.

/// One template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
    /// The text of the file, with [`Template::NAME`] where the pipeline's id stands.
    contents: &'static str,
}

macro_rules! template {
    ($title:literal, $about:literal, $file:literal) => {
        Template {
            title: $title,
            about: $about,
            contents: include_str!(concat!("../../assets/templates/", $file)),
        }
    };
}

impl Template {
    /// Stands in a template for the id of the new pipeline.
    const NAME: &'static str = "NAME";

    /// All templates, the simplest first.
    pub const ALL: &'static [Self] = &[
        template!("One command", "A command with a time limit", "command.toml"),
        template!("A chain of steps", "Steps one after another, with retries and a parameter", "chain.toml"),
        template!(
            "Two branches",
            "Steps side by side, one that waits for both, and one that always tidies up",
            "parallel.toml"
        ),
        template!("A nightly job", "One step and the schedule that starts it every night", "nightly.toml"),
    ];

    /// The text of the file of a pipeline with this id.
    pub fn text(&self, pipeline_id: &str) -> String {
        self.contents.replace(Self::NAME, pipeline_id)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::Pipeline;

    #[test]
    fn every_template_is_a_valid_pipeline_of_the_given_id_that_needs_no_values() {
        for template in Template::ALL {
            let text = template.text("books-2");
            let pipeline = Pipeline::parse(&text, Path::new("/p/books-2.toml"), None).expect(template.title);
            assert_eq!(pipeline.id.as_str(), "books-2");
            assert!(pipeline.resolve_params(&Default::default(), None).is_ok(), "{}", template.title);
            assert!(!text.contains(Template::NAME), "{}", template.title);
        }
    }
}

//! The look of the window when it was closed, and where the operator was, in `window.toml` of the data directory. It is not
//! important: a file that can't be read counts as absent, and one that can't be written is only reported.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::id::{PipelineId, RunId};
use crate::files::read_small_text;
use crate::run::RunState;

const FILE: &str = "window.toml";

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// The desktop's theme.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// How times and numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Formats {
    /// As the system's locale does.
    #[default]
    System,
    /// In one way that needs no language.
    Neutral,
}

/// How high the rows of lists are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Density {
    /// With air around each line.
    #[default]
    Comfortable,
    /// As many rows as are still readable.
    Compact,
}

/// The order of living runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NowOrder {
    /// The oldest start first.
    #[default]
    Started,
    /// By the pipeline's name.
    Name,
    /// The most progress first.
    Progress,
    /// The least remaining time first.
    Left,
    /// The most CPU first.
    Cpu,
    /// The most memory first.
    Memory,
}

impl NowOrder {
    /// All, in the order of their menu.
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Name, Self::Progress, Self::Left, Self::Cpu, Self::Memory];

    /// Its text in the menu.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Started => "Oldest first",
            Self::Name => "By name",
            Self::Progress => "Most progress",
            Self::Left => "Least time left",
            Self::Cpu => "Most CPU",
            Self::Memory => "Most memory",
        }
    }
}

/// How living runs are grouped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NowGroups {
    /// Not at all.
    #[default]
    None,
    /// By pipeline.
    Pipeline,
    /// By the group that their pipelines belong to.
    Group,
}

impl NowGroups {
    /// All, in the order of their menu.
    pub const ALL: [Self; 3] = [Self::None, Self::Pipeline, Self::Group];

    /// Its text in the menu.
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "No groups",
            Self::Pipeline => "By pipeline",
            Self::Group => "By group",
        }
    }
}

/// How the window looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowLook {
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Width in logical points.
    pub width: f32,
    /// Height in logical points.
    pub height: f32,
    /// Whether the window is maximized. Width and height are then those from before.
    pub is_maximized: bool,
    /// The scale of everything, in percent of the screen's own.
    pub scale: u16,
    /// How times and numbers are written.
    pub formats: Formats,
    /// How high the rows of lists are.
    pub density: Density,
    /// Where its upper left corner was on the screen, in logical points. None where the window system does not say it.
    pub position: Option<[f32; 2]>,
    /// Where the operator was.
    pub last: LastView,
}

/// Where the operator was when the window was closed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastView {
    /// The page, by its name; empty for the first one.
    pub page: String,
    /// The selected run.
    pub run: Option<RunId>,
    /// The order of living runs.
    pub order: NowOrder,
    /// How living runs are grouped.
    pub groups: NowGroups,
    /// The filter of ended runs.
    pub history_pipeline: Option<PipelineId>,
    pub history_state: Option<RunState>,
    pub history_text: String,
    /// How many days back; none means all.
    pub history_days: Option<u32>,
    /// Whether the longest ended runs are first, instead of the newest.
    pub longest_first: bool,
}

impl Default for WindowLook {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            width: 1280.0,
            height: 800.0,
            is_maximized: false,
            scale: 100,
            formats: Formats::System,
            density: Density::Comfortable,
            position: None,
            last: LastView::default(),
        }
    }
}

impl WindowLook {
    /// The smallest size, at which one thing has room: the living runs.
    pub const MIN_SIZE: [f32; 2] = [320.0, 240.0];

    /// The scales at which everything can be read.
    pub const SCALES: std::ops::RangeInclusive<u16> = 50..=300;

    /// The look that was saved in a data directory; the default if there is none or it can't be parsed.
    pub fn load(data_dir: &Path) -> Self {
        let text = read_small_text(&data_dir.join(FILE)).unwrap_or_default();
        let mut look: Self = toml::from_str(&text).unwrap_or_default();
        look.scale = look.scale.clamp(*Self::SCALES.start(), *Self::SCALES.end());
        let is_size = |value: f32| (100.0..=20_000.0).contains(&value);
        let is_place = |value: &f32| (-20_000.0..=20_000.0).contains(value);
        let position = look.position.filter(|position| position.iter().all(is_place));
        let look = Self { position, ..look };
        if is_size(look.width) && is_size(look.height) {
            look
        } else {
            let Self { width, height, .. } = Self::default();
            Self { width, height, ..look }
        }
    }

    /// Saves it. The file is whole at any time.
    pub fn save(&self, data_dir: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let draft = data_dir.join(".window.toml.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(draft, data_dir.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_kept_comes_back_and_nonsense_is_the_default() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(WindowLook::load(dir.path()), WindowLook::default());
        let look = WindowLook {
            theme: ThemeChoice::Light,
            width: 1000.0,
            height: 700.5,
            is_maximized: true,
            scale: 125,
            formats: Formats::Neutral,
            density: Density::Compact,
            position: Some([-40.0, 12.0]),
            last: LastView {
                page: "history".to_owned(),
                run: RunId::new("books-1").ok(),
                order: NowOrder::Memory,
                groups: NowGroups::Pipeline,
                history_pipeline: PipelineId::new("books").ok(),
                history_state: Some(RunState::ForceStopped),
                history_text: "a \"quoted\" text".to_owned(),
                history_days: Some(7),
                longest_first: true,
            },
        };
        look.save(dir.path()).unwrap();
        assert_eq!(WindowLook::load(dir.path()), look);
        let file = dir.path().join(FILE);
        fs::write(&file, "theme = \"purple\"").unwrap();
        assert_eq!(WindowLook::load(dir.path()), WindowLook::default());
        fs::write(&file, "theme = \"dark\"\nwidth = nan").unwrap();
        let expected = WindowLook { theme: ThemeChoice::Dark, ..WindowLook::default() };
        assert_eq!(WindowLook::load(dir.path()), expected);
    }
}

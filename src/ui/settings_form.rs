//! The form of the settings: what was typed, what is wrong with it, and what is to be saved. It paints nothing.

use std::borrow::Cow;
use std::sync::Arc;

use super::path_picker::PathPicker;
use crate::settings::{RefusedSetting, SettingEdit, SettingKey};
use crate::window::{Action, SettingsView};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SettingField {
    pub(super) key: SettingKey,
    pub(super) text: String,
    /// What the file says; empty where it says nothing.
    saved: String,
}

impl SettingField {
    fn of(key: SettingKey, view: &SettingsView) -> Self {
        let said = view.values.iter().find(|(known, _)| *known == key);
        let saved = said.map(|(_, said)| said.clone()).unwrap_or_default();
        Self { key, text: saved.clone(), saved }
    }

    fn is_changed(&self) -> bool {
        self.text.trim() != self.saved
    }
}

/// The keys that always have a field.
pub(super) const KEYS: [SettingKey; 6] = [
    SettingKey::MaxRuns,
    SettingKey::KeepRuns,
    SettingKey::KeepPerPipeline,
    SettingKey::KeepLogs,
    SettingKey::KeepFires,
    SettingKey::PipelineDirs,
];

/// The window's state of the page of settings.
#[derive(Debug, Default)]
pub(super) struct SettingsPage {
    /// What the fields were filled from.
    known: Option<Arc<SettingsView>>,
    /// Those of [`KEYS`], then one for each group.
    pub(super) fields: Vec<SettingField>,
    /// The name and the number of a new group.
    pub(super) new_group: (String, String),
    /// A folder that is to be looked for pipelines in.
    pub(super) new_folder: String,
    /// The open picker of that folder.
    pub(super) picker: Option<PathPicker>,
    pub(super) refused: Vec<RefusedSetting>,
    pub(super) is_saving: bool,
}

impl SettingsPage {
    /// Makes the form show what was read; what was typed since stays.
    pub(super) fn follow(&mut self, view: Option<&Arc<SettingsView>>) {
        let Some(view) = view else { return };
        if self.known.as_ref() == Some(view) {
            return;
        }
        let groups = view.values.iter().filter(|(key, _)| matches!(key, SettingKey::Group(_)));
        let keys = KEYS.into_iter().chain(groups.map(|(key, _)| key.clone()));
        let fields = keys.map(|key| {
            let fresh = SettingField::of(key, view);
            match self.fields.iter().find(|field| field.key == fresh.key) {
                Some(typed) if typed.is_changed() => SettingField { text: typed.text.clone(), ..fresh },
                Some(_) | None => fresh,
            }
        });
        self.fields = fields.collect();
        self.known = Some(view.clone());
    }

    /// The outcome of the last save.
    pub(super) fn take_saved(&mut self, refused: Vec<RefusedSetting>) {
        self.is_saving = false;
        if refused.is_empty() {
            for field in &mut self.fields {
                field.saved = field.text.trim().to_owned();
            }
            // They are read again.
            self.fields.retain(|field| !matches!(field.key, SettingKey::Group(_)) || !field.saved.is_empty());
            self.new_group = Default::default();
            self.new_folder.clear();
            self.known = None;
        }
        self.refused = refused;
    }

    pub(super) fn is_changed(&self) -> bool {
        self.request().is_some()
    }

    /// Undoes the changes.
    pub(super) fn revert(&mut self) {
        for field in &mut self.fields {
            field.text = field.saved.clone();
        }
        self.new_group = Default::default();
        self.new_folder.clear();
        self.refused.clear();
    }

    /// What is wrong with a value, as it was saved last.
    pub(super) fn wrong(&self, key: &SettingKey) -> Option<&str> {
        let refused = self.refused.iter().find(|refused| refused.key.as_ref() == Some(key));
        refused.map(|refused| &*refused.why)
    }

    /// What is wrong with the file.
    pub(super) fn wrong_with_file(&self) -> Option<&str> {
        self.refused.iter().find(|refused| refused.key.is_none()).map(|refused| &*refused.why)
    }

    /// The key of the new group, once it has a name.
    pub(super) fn new_key(&self) -> Option<SettingKey> {
        let name = self.new_group.0.trim();
        (!name.is_empty()).then(|| SettingKey::Group(name.to_owned()))
    }

    /// The text of a field, to that of the folders the new one.
    fn whole<'a>(&self, field: &'a SettingField) -> Cow<'a, str> {
        let new = self.new_folder.trim();
        if field.key != SettingKey::PipelineDirs || new.is_empty() {
            return Cow::Borrowed(&field.text);
        }
        Cow::Owned(format!("{}\n{new}", field.text).trim().to_owned())
    }

    /// The folders that are looked for pipelines in besides that of the data directory.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        let field = self.fields.iter().find(|field| field.key == SettingKey::PipelineDirs);
        field.into_iter().flat_map(|field| field.text.lines())
    }

    /// Looks no longer for pipelines in this folder.
    pub(super) fn remove_folder(&mut self, folder: &str) {
        let rest: Vec<&str> = self.folders().filter(|known| *known != folder).collect();
        let rest = rest.join("\n");
        if let Some(field) = self.fields.iter_mut().find(|field| field.key == SettingKey::PipelineDirs) {
            field.text = rest;
        }
    }

    /// The action that saves the changes; none without any.
    pub(super) fn request(&self) -> Option<Action> {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let texts = self.fields.iter().map(|field| (field, self.whole(field)));
        let changed = texts.filter(|(field, text)| text.trim() != field.saved);
        let edits = changed.map(|(field, text)| SettingEdit { key: field.key.clone(), said: said(&text) });
        // A group without a number is refused with a sentence, not left out.
        let new =
            self.new_key().map(|key| SettingEdit { key, said: Some(self.new_group.1.trim().to_owned()) });
        let edits: Vec<_> = edits.chain(new).collect();
        (!edits.is_empty()).then_some(Action::SaveSettings(edits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(values: &[(SettingKey, &str)]) -> Arc<SettingsView> {
        let values = values.iter().map(|(key, said)| (key.clone(), (*said).to_owned())).collect();
        Arc::new(SettingsView { values, ..SettingsView::default() })
    }

    fn group(name: &str) -> SettingKey {
        SettingKey::Group(name.to_owned())
    }

    #[test]
    fn what_is_typed_stays_while_the_file_changes_and_only_that_is_saved() {
        let mut page = SettingsPage::default();
        page.follow(Some(&view(&[(SettingKey::MaxRuns, "4"), (group("a"), "2")])));
        assert_eq!((page.fields.len(), page.is_changed(), page.request()), (KEYS.len() + 1, false, None));
        page.fields[0].text = " 3 ".to_owned();
        page.follow(Some(&view(&[
            (SettingKey::MaxRuns, "5"),
            (SettingKey::KeepRuns, "30d"),
            (group("a"), "2"),
        ])));
        let texts: Vec<_> = page.fields.iter().map(|field| field.text.as_str()).collect();
        assert_eq!(texts, [" 3 ", "30d", "", "", "", "", "2"]);
        page.fields[6].text.clear();
        page.new_group = ("b".to_owned(), "1".to_owned());
        let edit = |key, said: Option<&str>| SettingEdit { key, said: said.map(str::to_owned) };
        let edits =
            [edit(SettingKey::MaxRuns, Some("3")), edit(group("a"), None), edit(group("b"), Some("1"))];
        assert_eq!(page.request(), Some(Action::SaveSettings(edits.to_vec())));
        page.revert();
        assert_eq!(page.request(), None);
        assert_eq!(page.fields[0].text, "5");
    }

    #[test]
    fn what_is_refused_is_said_at_its_value_and_stays_to_be_mended() {
        let mut page = SettingsPage::default();
        page.follow(Some(&view(&[])));
        page.fields[0].text = "0".to_owned();
        page.is_saving = true;
        page.take_saved(vec![RefusedSetting {
            key: Some(SettingKey::MaxRuns),
            why: "at least 1".to_owned(),
        }]);
        assert_eq!(page.wrong(&SettingKey::MaxRuns), Some("at least 1"));
        assert!(page.is_changed() && !page.is_saving && page.wrong_with_file().is_none());
        page.take_saved(Vec::new());
        assert!(page.wrong(&SettingKey::MaxRuns).is_none() && !page.is_changed());
    }
}

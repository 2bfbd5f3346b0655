//! The operator's settings: `settings.toml` in the data directory. A key that is left out has its default; an unknown key
//! or a wrong value is an error with its place.

mod catalogue;
mod finder;
mod key_edit;
mod keys;
mod limit_edit;
mod limit_params;
mod live;
mod model;
mod table_edit;

pub use catalogue::{Catalogue, CatalogueEntry, CatalogueError, read_definition};
pub use finder::{PipelineFinder, file_tables};
pub use key_edit::{RefusedSetting, SettingEdit, SettingKey};
pub(crate) use key_edit::{edit_settings, settings_text, values_in};
pub use keys::{key_table, schema};
pub(crate) use limit_edit::{edited, replace};
pub use limit_params::{LimitParams, LimitProblem, LimitView, LimitWords};
pub use live::LiveSettings;
pub(crate) use model::{FILE, in_lines};
pub use model::{Settings, SettingsError};
pub(crate) use table_edit::edit_file;
pub use table_edit::interval_text;

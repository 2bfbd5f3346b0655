//! The pipelines that a crontab becomes are pipelines.

use std::collections::BTreeSet;
use std::path::Path;

use leverframe::pipeline::Pipeline;
use leverframe::schedule::{CrontabKind, CrontabSource, import_crontab};

#[test]
fn every_pipeline_of_an_import_is_valid() {
    let text = "\
SHELL=/bin/bash
PATH=$HOME/bin:/usr/bin
HOME=/srv
LANG=\"C.UTF-8\"
# With \"quotes\" and a \\ in it
30 2 * * 1-5 /opt/backup.sh --all 'a \"b\" \\c' > /dev/null 2>&1
*/15 * * * * cd /srv/app && python3 poll.py; date +\\%F
@weekly mail -s hi ana%Dear you,%bye
@reboot /opt/start
0 0 * * * \t[ -x /x ] && ünïcödé\t-v
";
    let source = CrontabSource {
        kind: CrontabKind::Detect,
        user: "ana",
        users: &["ana"],
        is_command: |_, _| false,
        heeds_cron_tz: false,
        taken: &BTreeSet::new(),
    };
    let done = import_crontab(text, &source);
    assert_eq!((done.pipelines.len(), done.jobs.len()), (5, 4));
    for imported in done.pipelines {
        let path = format!("/data/pipelines/{}.toml", imported.id);
        let pipeline = Pipeline::parse(&imported.toml, Path::new(&path), Some(Path::new("/home/ana")));
        let pipeline = pipeline.unwrap_or_else(|problems| panic!("{}\n{problems:?}", imported.toml));
        assert_eq!(pipeline.id, imported.id);
        assert_eq!(pipeline.steps[0].working_dir, Path::new("/srv"));
    }
}

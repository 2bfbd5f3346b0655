//! `leverframe serve` as a service of the session: its files for systemd and launchd, where they belong, and what a
//! logout does to running steps. Nothing here starts an engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

/// The name of the systemd unit and of its file.
const UNIT: &str = "leverframe.service";
/// The service's name for launchd.
const LABEL: &str = "leverframe.serve";

/// The manager of a session's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceManager {
    /// Linux.
    Systemd,
    /// macOS.
    Launchd,
}

/// `serve` as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserService {
    pub manager: ServiceManager,
    /// This program's path.
    pub program: PathBuf,
    /// The data directory that it serves.
    pub data_dir: PathBuf,
}

/// Why a service was not installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The session has no home directory to keep it in.
    #[error("there is no home directory for the service's file; print it and put it where it belongs")]
    Homeless,
    /// The file's format can't hold a path.
    #[error("the path {path:?} contains a line break, which a service file can't contain; move it elsewhere")]
    Path { path: PathBuf },
    /// The file can't be written or removed.
    #[error("the service's file {path} can't be changed: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The manager refused.
    #[error("{path} is in place, but `{command}` failed: {why}; run it in your own login session")]
    Manager {
        /// The service's file.
        path: PathBuf,
        /// The command line.
        command: String,
        /// The manager's message.
        why: String,
    },
}

impl ServiceManager {
    /// This platform's.
    pub const fn native() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }
}

impl UserService {
    /// Whether a service is installed that serves this data directory with each session.
    pub fn is_installed_for(data_dir: &Path) -> bool {
        let service = Self {
            manager: ServiceManager::native(),
            program: PathBuf::new(),
            data_dir: data_dir.to_owned(),
        };
        let text = service.file().ok().and_then(|file| fs::read_to_string(file).ok());
        let shown = data_dir.to_string_lossy();
        // As the file quotes it, or as the user has written it.
        text.is_some_and(|text| text.contains(&*shown) || text.contains(&systemd_quoted(data_dir)))
    }

    /// The text of the service's file.
    ///
    /// # Errors
    /// [`ServiceError::Path`] when the format can't hold a path.
    pub fn text(&self) -> Result<String, ServiceError> {
        for path in [&self.program, &self.data_dir] {
            if path.to_string_lossy().contains(['\n', '\r']) {
                return Err(ServiceError::Path { path: path.clone() });
            }
        }
        Ok(match self.manager {
            ServiceManager::Systemd => self.systemd_unit(),
            ServiceManager::Launchd => self.launchd_plist(),
        })
    }

    /// Where the manager looks for the file.
    ///
    /// # Errors
    /// [`ServiceError::Homeless`] when there is no home directory.
    pub fn file(&self) -> Result<PathBuf, ServiceError> {
        let dirs = directories::BaseDirs::new().ok_or(ServiceError::Homeless)?;
        Ok(match self.manager {
            ServiceManager::Systemd => dirs.config_dir().join("systemd/user").join(UNIT),
            ServiceManager::Launchd => {
                dirs.home_dir().join("Library/LaunchAgents").join(format!("{LABEL}.plist"))
            }
        })
    }

    /// Writes the file and starts the service, now and with each session. Returns the file's path.
    ///
    /// # Errors
    /// [`ServiceError`]. When the manager can't be reached, the file is in place nevertheless.
    pub fn install(&self) -> Result<PathBuf, ServiceError> {
        let (path, text) = (self.file()?, self.text()?);
        let failed = |source| ServiceError::File { path: path.clone(), source };
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        fs::write(&path, text).map_err(failed)?;
        match self.manager {
            ServiceManager::Systemd => {
                ask_manager(&path, "systemctl", &["--user", "daemon-reload"])?;
                ask_manager(&path, "systemctl", &["--user", "enable", "--now", UNIT])?;
            }
            ServiceManager::Launchd => {
                ask_manager(&path, "launchctl", &["load", "-w", &path.to_string_lossy()])?;
            }
        }
        Ok(path)
    }

    /// Stops the service and removes its file. Running steps go on under the supervisor. False when there was none.
    ///
    /// # Errors
    /// [`ServiceError`] when the manager refuses, or the file can't be removed.
    pub fn uninstall(&self) -> Result<bool, ServiceError> {
        let path = self.file()?;
        if !path.exists() {
            return Ok(false);
        }
        match self.manager {
            ServiceManager::Systemd => {
                ask_manager(&path, "systemctl", &["--user", "disable", "--now", UNIT])?
            }
            ServiceManager::Launchd => {
                ask_manager(&path, "launchctl", &["unload", "-w", &path.to_string_lossy()])?;
            }
        }
        fs::remove_file(&path).map_err(|source| ServiceError::File { path, source })?;
        Ok(true)
    }

    /// `KillMode=process`: stopping or restarting the service leaves the supervisor and the steps alone. While a window
    /// has the engine, the service stands by; `--wait` allows that from the start.
    fn systemd_unit(&self) -> String {
        let (program, data_dir) = (systemd_quoted(&self.program), systemd_quoted(&self.data_dir));
        format!(
            "[Unit]\n\
             Description=Leverframe: runs and schedules the jobs of this desktop\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={program} serve --wait --data-dir {data_dir}\n\
             Restart=on-failure\n\
             RestartSec=5\n\
             # 4: another engine holds the directory; 5: the directory is unusable. Trying again would not help.\n\
             RestartPreventExitStatus=2 4 5\n\
             # The supervisor and the steps outlive the engine.\n\
             KillMode=process\n\
             Delegate=yes\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        )
    }

    fn launchd_plist(&self) -> String {
        let arguments = [
            self.program.as_path(),
            "serve".as_ref(),
            "--wait".as_ref(),
            "--data-dir".as_ref(),
            &self.data_dir,
        ];
        let arguments: String = arguments
            .iter()
            .map(|argument| format!("    <string>{}</string>\n", xml_escaped(&argument.to_string_lossy())))
            .collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n\
             <dict>\n\
             \x20 <key>Label</key>\n\
             \x20 <string>{LABEL}</string>\n\
             \x20 <key>ProgramArguments</key>\n\
             \x20 <array>\n{arguments}\x20 </array>\n\
             \x20 <key>RunAtLoad</key>\n\
             \x20 <true/>\n\
             \x20 <key>KeepAlive</key>\n\
             \x20 <dict>\n\
             \x20   <key>SuccessfulExit</key>\n\
             \x20   <false/>\n\
             \x20 </dict>\n\
             \x20 <key>AbandonProcessGroup</key>\n\
             \x20 <true/>\n\
             </dict>\n\
             </plist>\n"
        )
    }
}

/// Runs a manager's command, without its output.
fn ask_manager(path: &Path, program: &str, args: &[&str]) -> Result<(), ServiceError> {
    let failed = |why: String| ServiceError::Manager {
        path: path.to_owned(),
        command: format!("{program} {}", args.join(" ")),
        why,
    };
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// A word of `ExecStart=`: quoted, with nothing that systemd would expand.
fn systemd_quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '%' | '$' => quoted.extend([letter, letter]),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a logout does to running steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutEffect {
    /// They go on.
    GoOn,
    /// The session's manager ends with the last session, and its services with it.
    EndWithManager,
    /// All processes of a session are killed when it ends.
    Killed,
}

/// What systemd-logind does at a logout. None when it does not run.
pub fn logout_effect() -> Option<LogoutEffect> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let uid = rustix::process::getuid().as_raw();
    let asked = Command::new("loginctl")
        .args(["show-user", &uid.to_string(), "--property=Linger", "--value"])
        .stdin(Stdio::null())
        .output();
    let lingers = asked.is_ok_and(|output| output.stdout.trim_ascii() == b"yes");
    let folders = ["/usr/lib/systemd", "/run/systemd", "/etc/systemd"];
    let kills = kills_user_processes(&folders.map(Path::new));
    Some(disposition(lingers, kills))
}

fn disposition(lingers: bool, kills: bool) -> LogoutEffect {
    match (lingers, kills) {
        (true, _) => LogoutEffect::GoOn,
        (false, true) => LogoutEffect::Killed,
        (false, false) => LogoutEffect::EndWithManager,
    }
}

/// `KillUserProcesses` from these folders; the last one wins (logind.conf(5)).
fn kills_user_processes(folders: &[&Path]) -> bool {
    let mains = folders.iter().map(|folder| folder.join("logind.conf"));
    let mut drop_ins: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder.join("logind.conf.d")).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let texts = mains.chain(drop_ins).filter_map(|path| fs::read_to_string(path).ok());
    let mut values = texts.filter_map(|text| {
        let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("KillUserProcesses="));
        values.next_back().map(|value| matches!(value.trim(), "yes" | "true" | "on" | "1"))
    });
    values.next_back().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(manager: ServiceManager) -> UserService {
        UserService {
            manager,
            program: "/opt/my tools/lever%frame".into(),
            data_dir: "/home/a/\"d\" & <e>".into(),
        }
    }

    #[test]
    fn a_unit_leaves_the_steps_alone_and_quotes_its_paths() {
        let text = service(ServiceManager::Systemd).text().unwrap();
        assert!(text.contains("\nKillMode=process\n"));
        let exec = "\nExecStart=\"/opt/my tools/lever%%frame\" serve --wait --data-dir \"/home/a/\\\"d\\\" & <e>\"\n";
        assert!(text.contains(exec), "{text}");
    }

    #[test]
    fn a_plist_is_escaped() {
        let text = service(ServiceManager::Launchd).text().unwrap();
        assert!(text.contains("<string>/home/a/\"d\" &amp; &lt;e&gt;</string>"), "{text}");
        assert!(text.contains("<key>AbandonProcessGroup</key>"));
    }

    #[test]
    fn a_path_with_a_line_break_is_refused() {
        let service = UserService { data_dir: "/a\nExecStart=x".into(), ..service(ServiceManager::Systemd) };
        assert!(matches!(service.text(), Err(ServiceError::Path { .. })));
    }

    #[test]
    fn the_last_word_on_killing_counts() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        fs::create_dir_all(a.join("logind.conf.d")).unwrap();
        fs::create_dir_all(&b).unwrap();
        let folders = [a.as_path(), b.as_path()];
        assert!(!kills_user_processes(&folders));
        fs::write(b.join("logind.conf"), "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n").unwrap();
        assert!(kills_user_processes(&folders));
        fs::write(a.join("logind.conf.d/10-x.conf"), "[Login]\nKillUserProcesses=no\n").unwrap();
        assert!(!kills_user_processes(&folders));
        assert_eq!(disposition(false, true), LogoutEffect::Killed);
        assert_eq!(disposition(true, true), LogoutEffect::GoOn);
    }
}

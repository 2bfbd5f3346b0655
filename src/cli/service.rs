//! `leverframe service`: `serve` as a service of the session.

use clap::{Args, Subcommand, ValueEnum};

use super::Place;
use super::exit::{Failure, Outcome};
use super::output::{Page, note};
use crate::api::exit_code::{DONE, FAILED, NOT_FOUND};
use crate::daemon::{ServiceError, ServiceManager, UserService};

#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    what: ServiceVerb,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ServiceVerb {
    /// Print the service's file.
    Print {
        /// For which service manager; default: this platform's.
        #[arg(long, value_enum, value_name = "MANAGER")]
        manager: Option<Manager>,
    },
    /// Put the service's file in place, and start the service now and with each session.
    Install,
    /// Stop the service and remove its file; steps that run go on to their end.
    Uninstall,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Manager {
    Systemd,
    Launchd,
}

pub(super) fn service(args: &ServiceArgs, place: &Place) -> Outcome {
    let manager = match args.what {
        ServiceVerb::Print { manager: Some(Manager::Systemd) } => ServiceManager::Systemd,
        ServiceVerb::Print { manager: Some(Manager::Launchd) } => ServiceManager::Launchd,
        ServiceVerb::Print { manager: None } | ServiceVerb::Install | ServiceVerb::Uninstall => {
            ServiceManager::native()
        }
    };
    let program = std::env::current_exe()?;
    let service = UserService { manager, program, data_dir: place.path()? };
    match args.what {
        ServiceVerb::Print { .. } => {
            let mut page = Page::new();
            page.bytes(service.text()?.as_bytes())?;
            page.end(DONE)
        }
        ServiceVerb::Install => {
            let path = service.install()?;
            note(format_args!("installed and started: {}", path.display()));
            Ok(DONE)
        }
        ServiceVerb::Uninstall => {
            if !service.uninstall()? {
                return Err(Failure::new(NOT_FOUND, "there is no such service to remove"));
            }
            note("the service is stopped and removed; steps that run go on to their end");
            Ok(DONE)
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(FAILED, error.to_string())
    }
}

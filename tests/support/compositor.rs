//! A Wayland compositor for one test. Its screen is a window of a virtual display: tests look at the display, and
//! clicks and drags on it reach the compositor like those of a mouse.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::display::Display;
use super::process::{let_pass, look_until};

/// The colour where the compositor shows no window.
pub(crate) const NOTHING: u32 = 0x20_40_60;

/// The width of the strip at the display's right edge that the compositor leaves free.
const STRIP: u16 = 8;

const SOCKET: &str = "wayland-of-a-test";

/// A Weston without a panel. Like GNOME, it does not decorate windows. It ends when this value is dropped.
pub(crate) struct Compositor {
    server: Child,
    dir: tempfile::TempDir,
}

impl Compositor {
    /// Fills a display of this size, but for the strip; none when Weston is not installed.
    pub(crate) fn open(display: &Display, (width, height): (u16, u16)) -> Option<Self> {
        // A Weston whose window appears under the pointer often ignores it for ever: it must enter from outside.
        display.point_at((width - STRIP / 2, height / 2));
        // The folder of its socket, which must be accessible only to its owner.
        let dir = tempfile::tempdir().expect("a folder");
        let config = dir.path().join("weston.ini");
        let text = format!(
            "[core]\nidle-time=0\n[shell]\npanel-position=none\nlocking=false\nbackground-color=0xff{NOTHING:06x}\n"
        );
        std::fs::write(&config, text).expect("a file");
        let server = Command::new("weston")
            .args(["--backend=x11-backend.so", "--use-pixman", "--idle-time=0"])
            .args([
                format!("--width={}", width - STRIP),
                format!("--height={height}"),
                format!("--socket={SOCKET}"),
            ])
            .arg(format!("--config={}", config.display()))
            .arg(format!("--log={}", dir.path().join("weston.log").display()))
            .env("DISPLAY", display.name())
            .env("XDG_RUNTIME_DIR", dir.path())
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XAUTHORITY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let compositor = Self { server, dir };
        look_until("the compositor's socket", || compositor.dir.path().join(SOCKET).exists().then_some(()));
        look_until("the compositor's screen", || {
            // Not in the middle, where the pointer may be.
            (display.picture().pixel(width / 4, height / 4) == NOTHING).then_some(())
        });
        assert!(follows_pointer(display), "the compositor follows the pointer");
        Some(compositor)
    }

    /// Makes a program open its windows here.
    pub(crate) fn dress(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", self.dir.path()).env("WAYLAND_DISPLAY", SOCKET).env_remove("DISPLAY");
    }

    /// Kills it while windows are open.
    pub(crate) fn lose(&mut self) {
        self.server.kill().expect("it lives");
        self.server.wait().expect("it has ended");
    }
}

/// Whether the compositor's own pointer follows that of the display.
fn follows_pointer(display: &Display) -> bool {
    for (i, x) in [40, 80].into_iter().cycle().enumerate().take(30) {
        let y = 400 + 10 * u16::try_from(i).expect("a few");
        display.point_at((x, y));
        let_pass(Duration::from_millis(100));
        let picture = display.picture();
        let mut around = (x..x + 10).flat_map(|x| (y..y + 16).map(move |y| (x, y)));
        if around.any(|(x, y)| picture.pixel(x, y) != NOTHING) {
            return true;
        }
    }
    false
}

impl Drop for Compositor {
    fn drop(&mut self) {
        // It may be gone already. Its shell ends with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

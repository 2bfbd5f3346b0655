//! What a screen reader hears of a window and does in it, by AT-SPI on a bus of its own. It names controls by what they are
//! called, so that a test of the real window depends on no place in it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zbus::blocking::fdo::DBusProxy;
use zbus::blocking::{Connection, Proxy, connection, proxy};
use zbus::names::BusName;
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

use super::bus::start_bus;
use super::display::Display;
use super::process::{look_until, look_until_or};

/// Where Debian and others install the program that starts the bus for accessibility.
const LAUNCHERS: [&str; 3] = [
    "/usr/libexec/at-spi-bus-launcher",
    "/usr/lib/at-spi2-core/at-spi-bus-launcher",
    "/usr/lib/at-spi-bus-launcher",
];
const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
const REGISTRY: (&str, &str) = ("org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root");

/// The roles of what can be operated, and of plots, as `AtspiRole` numbers them: check box, combo box, image, list item,
/// page tab, push button, radio button, slider, entry.
const CONTROLS: [u32; 9] = [7, 11, 27, 32, 37, 43, 44, 51, 79];
/// The role of a window with its title bar.
const FRAME: u32 = 23;

/// Longer than a window takes to answer; one that hangs is not heard.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether it can be operated, or is a plot: it must have a name.
pub(crate) fn is_control(heard: &Heard) -> bool {
    CONTROLS.contains(&heard.role)
}

/// Whether it is a window as a whole.
pub(crate) fn is_frame(heard: &Heard) -> bool {
    heard.role == FRAME
}

/// A session bus with accessibility on it. Everything ends when this value is dropped.
pub(crate) struct ScreenReader {
    programs: [Child; 2],
    _dir: tempfile::TempDir,
    session: String,
    heard: Connection,
}

/// Something in a window, as it was when it was asked.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The number that AT-SPI has for what it is.
    role: u32,
    pub(crate) name: String,
    place: Place,
}

type Place = (String, OwnedObjectPath);

impl ScreenReader {
    /// Starts a bus and turns accessibility on; none, where the programs for it are missing.
    pub(crate) fn start(display: &Display) -> Option<Self> {
        let launcher = LAUNCHERS.iter().find(|path| std::path::Path::new(path).exists())?;
        let dir = tempfile::tempdir().expect("a folder");
        let (bus, session) = start_bus(dir.path())?;
        let launched = Command::new(launcher)
            .arg("--launch-immediately")
            .env("DBUS_SESSION_BUS_ADDRESS", &session)
            .env("XDG_RUNTIME_DIR", dir.path())
            .env("DISPLAY", display.name())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let programs = [launched, bus];
        let on_session = connect(&session).expect("the bus answers");
        // A call before it is there would start another one, whose socket every test would share.
        let names = DBusProxy::new(&on_session).expect("the bus answers");
        let name = "org.a11y.Bus".try_into().expect("a name");
        look_until("the launcher", || names.name_has_owner(BusName::clone(&name)).ok()?.then_some(()));
        let address: String = look_until("the bus for accessibility", || {
            let bus = Proxy::new(&on_session, "org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus").ok()?;
            bus.call("GetAddress", &()).ok()
        });
        let status = Proxy::new(&on_session, "org.a11y.Bus", "/org/a11y/bus", "org.a11y.Status");
        status.and_then(|status| Ok(status.set_property("IsEnabled", true)?)).expect("it is turned on");
        let heard = connect(&address).expect("it answers");
        Some(Self { programs, _dir: dir, session, heard })
    }

    /// Makes a program tell what it shows.
    pub(crate) fn dress(&self, command: &mut Command) {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.session);
    }

    /// Everything that can be heard now, from the outside to the inside.
    pub(crate) fn all(&self) -> Vec<Heard> {
        let root = (REGISTRY.0.to_owned(), REGISTRY.1.try_into().expect("a path"));
        let mut all = Vec::new();
        // What is gone while it is asked is left out.
        let mut to_ask = self.children(&root).unwrap_or_default();
        to_ask.reverse();
        while let Some(place) = to_ask.pop() {
            let Some(heard) = self.hear(place) else { continue };
            let children = self.children(&heard.place).unwrap_or_default();
            to_ask.extend(children.into_iter().rev());
            all.push(heard);
        }
        all
    }

    /// Waits until something is heard that `is_it` accepts.
    #[track_caller]
    pub(crate) fn hear_of(&self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        self.listen(what, |all| all.into_iter().find(|heard| is_it(heard)))
    }

    /// Presses the control of this name once it is there.
    #[track_caller]
    pub(crate) fn press(&self, name: &str) {
        self.press_that(name, |heard| heard.name == name);
    }

    /// Presses the first control that `is_it` accepts once it is there.
    #[track_caller]
    pub(crate) fn press_that(&self, what: &str, is_it: impl Fn(&Heard) -> bool) {
        self.listen(&format!("what can be pressed: {what}"), |all| {
            all.iter().filter(|heard| is_it(heard)).any(|heard| self.act(heard)).then_some(())
        });
    }

    /// Replaces the contents of the text field of this name once it is there.
    #[track_caller]
    pub(crate) fn enter(&self, name: &str, text: &str) {
        self.listen(&format!("what can be written in: {name}"), |all| {
            let fields = all.iter().filter(|heard| heard.name == name);
            fields.into_iter().any(|heard| self.write(heard, text)).then_some(())
        });
    }

    /// Waits until `find` finds something in what is heard. If it does not, the test fails with all names.
    #[track_caller]
    pub(crate) fn listen<T>(&self, what: &str, find: impl Fn(Vec<Heard>) -> Option<T>) -> T {
        look_until_or(
            || find(self.all()),
            || {
                let names: Vec<_> = self.all().into_iter().map(|heard| heard.name).collect();
                format!("{what}: not heard in time, but {names:#?}")
            },
        )
    }

    /// Does the first thing that can be done with it; false if there is none.
    fn act(&self, heard: &Heard) -> bool {
        let action = self.ask(&heard.place, "org.a11y.atspi.Action");
        action.is_some_and(|action| action.call::<_, _, bool>("DoAction", &0).unwrap_or(false))
    }

    /// Replaces its text; false if it has none that can be changed.
    fn write(&self, heard: &Heard, text: &str) -> bool {
        let field = self.ask(&heard.place, "org.a11y.atspi.EditableText");
        field.is_some_and(|field| field.call::<_, _, bool>("SetTextContents", &text).unwrap_or(false))
    }

    fn hear(&self, place: Place) -> Option<Heard> {
        let accessible = self.ask(&place, ACCESSIBLE)?;
        let name = accessible.get_property("Name").ok()?;
        let role = accessible.call("GetRole", &()).ok()?;
        drop(accessible);
        Some(Heard { role, name, place })
    }

    fn children(&self, place: &Place) -> Option<Vec<Place>> {
        self.ask(place, ACCESSIBLE)?.call("GetChildren", &()).ok()
    }

    fn ask<'a>(&'a self, (bus, path): &'a Place, interface: &'static str) -> Option<Proxy<'a>> {
        let builder = proxy::Builder::<Proxy<'_>>::new(&self.heard).destination(bus.as_str()).ok()?;
        let builder = builder.path(path).ok()?.interface(interface).ok()?;
        // What was true of a control before says nothing of it now.
        builder.cache_properties(CacheProperties::No).build().ok()
    }
}

impl Drop for ScreenReader {
    fn drop(&mut self) {
        let [launcher, bus] = &mut self.programs;
        // Without its session the launcher ends, and the bus for accessibility with it.
        let _ = bus.kill();
        let _ = bus.wait();
        look_until("the end of the bus for accessibility", || launcher.try_wait().ok().flatten());
    }
}

fn connect(address: &str) -> zbus::Result<Connection> {
    connection::Builder::address(address)?.method_timeout(PATIENCE).build()
}

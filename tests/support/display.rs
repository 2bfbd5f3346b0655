//! A virtual display for one test, and what a person does at it: look, move the pointer, press keys, close a window by
//! its frame.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat,
    InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, MapState, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::process::look_until;

pub(crate) const CONTROL: u32 = 0xffe3;
pub(crate) const ENTER: u32 = 0xff0d;
pub(crate) const DOWN: u32 = 0xff54;
pub(crate) const BACKSPACE: u32 = 0xff08;
pub(crate) const SPACE: u32 = 0x20;

/// Paints within this time belong to one frame.
const PIECES_MS: u32 = 15;

/// An X server without a physical screen. It ends when this value is dropped.
pub(crate) struct Display {
    server: Child,
    connection: RustConnection,
    root: Window,
    size: (u16, u16),
    name: String,
}

/// A picture of a display.
pub(crate) struct Picture {
    width: u16,
    height: u16,
    /// Four bytes for each pixel: blue, green, red, unused.
    bytes: Vec<u8>,
}

impl Display {
    /// Starts a server on a free number; none when Xvfb is not installed.
    pub(crate) fn open((width, height): (u16, u16)) -> Option<Self> {
        let screen = format!("{width}x{height}x24");
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It prints its number once it listens.
        let mut number = String::new();
        let said = BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut number);
        assert!(said.is_ok_and(|n_bytes| n_bytes > 1), "the display starts");
        let name = format!(":{}", number.trim());
        let (connection, screen) = RustConnection::connect(Some(&name)).expect("the display answers");
        let root = connection.setup().roots[screen].root;
        Some(Self { server, connection, root, size: (width, height), name })
    }

    /// Kills the server while windows are open.
    pub(crate) fn lose(&mut self) {
        self.server.kill().expect("it lives");
        self.server.wait().expect("it has ended");
    }

    /// Its name, for `$DISPLAY`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for a visible window with this title, and gives it the keyboard.
    pub(crate) fn window(&self, title: &str) -> Window {
        let window = look_until(&format!("the window {title}"), || self.find(title));
        let focus = self.connection.set_input_focus(InputFocus::POINTER_ROOT, window, x11rb::CURRENT_TIME);
        focus.expect("sent").check().expect("the window takes the keyboard");
        window
    }

    fn find(&self, title: &str) -> Option<Window> {
        let tree = self.connection.query_tree(self.root).ok()?.reply().ok()?;
        let [name, text] = [b"_NET_WM_NAME".as_slice(), b"UTF8_STRING"].map(|atom| self.atom(atom));
        tree.children.into_iter().find(|window| {
            let attributes = self.connection.get_window_attributes(*window).map(|it| it.reply());
            let property =
                self.connection.get_property(false, *window, name, text, 0, 64).map(|it| it.reply());
            matches!(attributes, Ok(Ok(attributes)) if attributes.map_state == MapState::VIEWABLE)
                && matches!(property, Ok(Ok(property)) if property.value == title.as_bytes())
        })
    }

    fn atom(&self, name: &[u8]) -> u32 {
        let reply = self.connection.intern_atom(false, name).expect("sent").reply();
        reply.expect("the display answers").atom
    }

    /// Asks a window to close, like a click on the close button of its frame.
    pub(crate) fn ask_to_close(&self, window: Window) {
        let [protocols, delete] =
            [b"WM_PROTOCOLS".as_slice(), b"WM_DELETE_WINDOW"].map(|atom| self.atom(atom));
        let message = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
        let sent = self.connection.send_event(false, window, EventMask::NO_EVENT, message);
        sent.expect("sent").check().expect("the window is there");
    }

    /// The present picture.
    pub(crate) fn picture(&self) -> Picture {
        let (width, height) = self.size;
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        let image = image.expect("sent").reply().expect("the display answers");
        assert_eq!(image.data.len(), usize::from(width) * usize::from(height) * 4, "four bytes a pixel");
        Picture { width, height, bytes: image.data }
    }

    /// From now on the display reports when this window is painted.
    pub(crate) fn count_paints(&self, window: Window) {
        self.connection.damage_query_version(1, 1).expect("sent").reply().expect("it can tell");
        let damage = self.connection.generate_id().expect("an id");
        let told = self.connection.damage_create(damage, window, ReportLevel::RAW_RECTANGLES);
        told.expect("sent").check().expect("the window is there");
    }

    /// Waits until the window of [`count_paints`](Self::count_paints) was painted `n` more times, and returns how long
    /// that took.
    pub(crate) fn time_of_paints(&self, n: usize) -> Duration {
        let painted = |what| {
            look_until(what, || {
                loop {
                    let event = self.connection.poll_for_event().expect("the display answers")?;
                    // By the display's clock, independent of when the event arrives here.
                    if let Event::DamageNotify(event) = event {
                        return Some(event.timestamp);
                    }
                }
            })
        };
        let mut last = painted("a frame");
        let (first, mut n_frames) = (last, 1);
        // A frame may be reported in several pieces.
        while n_frames < n {
            let at = painted("the next frame");
            n_frames += usize::from(at.wrapping_sub(last) > PIECES_MS);
            last = at;
        }
        Duration::from_millis(u64::from(last.wrapping_sub(first)))
    }

    /// Unmaps a window, as window managers do when another desktop is shown.
    pub(crate) fn take_off(&self, window: Window) {
        self.connection.unmap_window(window).expect("sent").check().expect("the window is there");
    }

    /// Maps it again.
    pub(crate) fn put_back(&self, window: Window) {
        self.connection.map_window(window).expect("sent").check().expect("the window is there");
    }

    /// Presses the first button at one place, moves the pointer to and fro until something follows it, then moves to
    /// another place and releases the button.
    pub(crate) fn drag(&self, from: (u16, u16), to: (u16, u16), mut follows: impl FnMut() -> bool) {
        let on_the_way = |part: i32| {
            let between = |from: u16, to: u16| {
                let way = (i32::from(to) - i32::from(from)) / part;
                from.saturating_add_signed(i16::try_from(way).unwrap_or_default())
            };
            (between(from.0, to.0), between(from.1, to.1))
        };
        // If the pointer enters a window and presses at once, the window may take the press for one outside.
        for from in [(from.0 + 2, from.1), from] {
            self.point_at(from);
            super::process::let_pass(Duration::from_millis(150));
        }
        self.fake(BUTTON_PRESS_EVENT, 1, (0, 0));
        let mut parts = [8, 4].into_iter().cycle();
        look_until("what is dragged", || {
            self.point_at(on_the_way(parts.next()?));
            follows().then_some(())
        });
        self.point_at(to);
        self.fake(BUTTON_RELEASE_EVENT, 1, (0, 0));
    }

    /// Moves the pointer there and presses its first button.
    pub(crate) fn click(&self, at: (u16, u16)) {
        self.point_at(at);
        self.fake(BUTTON_PRESS_EVENT, 1, (0, 0));
        self.fake(BUTTON_RELEASE_EVENT, 1, (0, 0));
    }

    pub(crate) fn point_at(&self, at: (u16, u16)) {
        self.fake(MOTION_NOTIFY_EVENT, 0, at);
    }

    /// Presses keys together, by their keysyms.
    pub(crate) fn press(&self, keysyms: &[u32]) {
        let codes: Vec<u8> = keysyms.iter().map(|keysym| self.key_code(*keysym)).collect();
        codes.iter().for_each(|code| self.fake(KEY_PRESS_EVENT, *code, (0, 0)));
        codes.iter().rev().for_each(|code| self.fake(KEY_RELEASE_EVENT, *code, (0, 0)));
    }

    /// Types a text of small letters, spaces and hyphens.
    pub(crate) fn type_text(&self, text: &str) {
        text.chars().for_each(|c| self.press(&[u32::from(c)]));
    }

    fn key_code(&self, keysym: u32) -> u8 {
        let (min, max) = (self.connection.setup().min_keycode, self.connection.setup().max_keycode);
        let mapping = self.connection.get_keyboard_mapping(min, max - min + 1).expect("sent").reply();
        let mapping = mapping.expect("the display answers");
        let mut keys = mapping.keysyms.chunks(usize::from(mapping.keysyms_per_keycode));
        let at = keys.position(|key| key[0] == keysym).expect("a key of that name");
        min + u8::try_from(at).expect("fewer than 256 keys")
    }

    fn fake(&self, kind: u8, detail: u8, (x, y): (u16, u16)) {
        let sent =
            self.connection.xtest_fake_input(kind, detail, 0, self.root, x.cast_signed(), y.cast_signed(), 0);
        sent.expect("sent").check().expect("the display takes it");
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Picture {
    /// Red, green and blue as `0xRRGGBB`.
    pub(crate) fn pixel(&self, x: u16, y: u16) -> u32 {
        let at = (usize::from(y) * usize::from(self.width) + usize::from(x)) * 4;
        u32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], 0])
    }

    /// The centre and the number of the pixels of exactly this colour within these columns and rows.
    pub(crate) fn middle_of(
        &self,
        color: u32,
        columns: std::ops::Range<u16>,
        rows: std::ops::Range<u16>,
    ) -> Option<((u16, u16), usize)> {
        let columns = columns.start..columns.end.min(self.width);
        let places = (rows.start..rows.end.min(self.height))
            .flat_map(|y| columns.clone().map(move |x| (x, y)))
            .filter(|(x, y)| self.pixel(*x, *y) == color);
        let (mut from, mut to, mut count) = ((u16::MAX, u16::MAX), (0, 0), 0);
        for (x, y) in places {
            (from, to) = ((from.0.min(x), from.1.min(y)), (to.0.max(x), to.1.max(y)));
            count += 1;
        }
        (count > 0).then(|| (((from.0 + to.0) / 2, (from.1 + to.1) / 2), count))
    }

    /// The corners of the smallest rectangle around all pixels of exactly this colour, if there are at least `least`.
    pub(crate) fn corners_of(&self, color: u32, least: usize) -> Option<((u16, u16), (u16, u16))> {
        let (mut from, mut to, mut count) = ((u16::MAX, u16::MAX), (0, 0), 0);
        for (x, y) in (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y))) {
            if self.pixel(x, y) == color {
                (from, to) = ((from.0.min(x), from.1.min(y)), (to.0.max(x), to.1.max(y)));
                count += 1;
            }
        }
        (count >= least).then_some((from, to))
    }

    /// The number of different colours.
    pub(crate) fn n_colors(&self) -> usize {
        let colors: std::collections::HashSet<_> = self.bytes.chunks_exact(4).collect();
        colors.len()
    }

    /// The picture as a PPM file.
    pub(crate) fn to_ppm(&self) -> Vec<u8> {
        let mut file = format!("P6 {} {} 255\n", self.width, self.height).into_bytes();
        file.extend(self.bytes.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
        file
    }
}

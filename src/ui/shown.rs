//! Reports to winit when an X11 window is not visible: then eframe runs its logic and paints nothing.
//!
//! X11 reports a window that other windows cover, and winit passes that on. It does not report a window that was
//! unmapped, and window managers unmap windows (some only the frame around them) when another desktop is shown. This
//! module watches for that over a connection of its own, and sends winit the X11 event for a covered window, or for an
//! uncovered one later. Wayland does not need this: its compositor requests no frames of a hidden window.

use std::sync::Arc;

use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use x11rb::connection::Connection;
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask,
    MapState, VISIBILITY_NOTIFY_EVENT, Visibility, VisibilityNotifyEvent, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

use crate::base::thread::{self, Thread};

/// Bit in the type of an event that was sent by a program instead of the server.
const SENT_BY_CLIENT: u8 = 0x80;

/// Watches whether a window is on the screen, until it is dropped.
#[derive(Debug)]
pub(super) struct ShownWatch {
    connection: Arc<RustConnection>,
    /// A window of our own. A message to it ends the watch.
    bell: Window,
    thread: Option<Thread>,
}

impl ShownWatch {
    /// Watches `window` from now on. None when it is not an X11 window or can't be watched; then it is painted even
    /// when hidden.
    pub(super) fn of(window: &impl HasWindowHandle) -> Option<Self> {
        let handle = window.window_handle().ok()?.as_raw();
        let window = if let RawWindowHandle::Xlib(handle) = handle {
            Window::try_from(handle.window).ok()?
        } else if let RawWindowHandle::Xcb(handle) = handle {
            handle.window.get()
        } else {
            return None;
        };
        Self::start(window).ok()
    }

    fn start(window: Window) -> Result<Self, Box<dyn std::error::Error>> {
        let (connection, screen) = x11rb::connect(None)?;
        let root = connection.setup().roots.get(screen).ok_or("no screen")?.root;
        let bell = connection.generate_id()?;
        let (class, nothing) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        connection.create_window(0, bell, root, 0, 0, 1, 1, 0, class, 0, &nothing)?.check()?;
        let connection = Arc::new(connection);
        let waiter = Waiter { connection: connection.clone(), window, bell };
        let wait = move || {
            // It fails only without the server, and then there is no window.
            let _ = waiter.run();
        };
        let thread = thread::short("lf-shown", wait)?;
        Ok(Self { connection, bell, thread: Some(thread) })
    }
}

impl Drop for ShownWatch {
    fn drop(&mut self) {
        let end = ClientMessageEvent::new(32, self.bell, AtomEnum::NONE, [0; 5]);
        // If the connection is broken, the thread has ended.
        let _ = self.connection.send_event(false, self.bell, EventMask::NO_EVENT, end);
        let _ = self.connection.flush();
        drop(self.thread.take());
    }
}

struct Waiter {
    connection: Arc<RustConnection>,
    window: Window,
    bell: Window,
}

impl Waiter {
    fn run(self) -> Result<(), ReplyOrIdError> {
        let mask = EventMask::STRUCTURE_NOTIFY | EventMask::VISIBILITY_CHANGE;
        self.select(self.window, mask)?;
        self.select_ancestors()?;
        // Whether other windows cover it, and whether winit believes that it is covered.
        let (mut is_covered, mut is_reported) = (false, false);
        loop {
            let is_hidden = is_covered || !self.is_viewable()?;
            if is_hidden != is_reported {
                self.send_visibility(is_hidden)?;
                is_reported = is_hidden;
            }
            // After any event, the window or a frame around it may have been mapped or unmapped.
            let event = self.connection.wait_for_event()?;
            if let Event::VisibilityNotify(event) = event {
                if event.response_type & SENT_BY_CLIENT == 0 {
                    is_covered = event.state == Visibility::FULLY_OBSCURED;
                    is_reported = is_covered;
                }
            } else if let Event::ReparentNotify(_) = event {
                self.select_ancestors()?;
            } else if let Event::DestroyNotify(event) = event {
                if event.window == self.window {
                    return Ok(());
                }
            } else if let Event::ClientMessage(event) = event
                && event.window == self.bell
            {
                return Ok(());
            }
        }
    }

    /// Whether it and all frames around it are mapped.
    fn is_viewable(&self) -> Result<bool, ReplyOrIdError> {
        let attributes = self.connection.get_window_attributes(self.window)?.reply()?;
        Ok(attributes.map_state == MapState::VIEWABLE)
    }

    /// Sends the event that the server would send for a covered or uncovered window.
    fn send_visibility(&self, is_covered: bool) -> Result<(), ReplyOrIdError> {
        let event = VisibilityNotifyEvent {
            response_type: VISIBILITY_NOTIFY_EVENT,
            sequence: 0,
            window: self.window,
            state: if is_covered { Visibility::FULLY_OBSCURED } else { Visibility::UNOBSCURED },
        };
        self.connection.send_event(false, self.window, EventMask::VISIBILITY_CHANGE, event)?;
        self.connection.flush()?;
        Ok(())
    }

    /// Selects events of the window manager's frames around the window, which may be unmapped instead of it.
    fn select_ancestors(&self) -> Result<(), ReplyOrIdError> {
        let mut window = self.window;
        loop {
            let tree = self.connection.query_tree(window)?.reply()?;
            if tree.parent == tree.root || tree.parent == x11rb::NONE {
                return Ok(());
            }
            window = tree.parent;
            self.select(window, EventMask::STRUCTURE_NOTIFY)?;
        }
    }

    fn select(&self, window: Window, mask: EventMask) -> Result<(), ReplyOrIdError> {
        let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
        self.connection.change_window_attributes(window, &attributes)?;
        self.connection.flush()?;
        Ok(())
    }
}

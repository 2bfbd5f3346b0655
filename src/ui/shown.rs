//! Tells winit when nothing of an X11 window can be seen: then eframe runs its logic and paints nothing.
//!
//! X11 reports a window that others cover, and winit passes that on. Of a window that was taken off the screen it reports
//! nothing of the kind, and window managers take windows off the screen whenever another desktop is shown, some by the
//! frame around them. That is looked at here over a connection of our own, and said to winit in the words of X11, by the
//! event for a covered window; it comes back to light by the same way. Wayland needs none of this: its compositor asks
//! for no frame of what it does not show.

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

/// Set in the type of an event that a program has sent, and not the server.
const SENT: u8 = 0x80;

/// Watches whether a window is on the screen, until it is dropped.
#[derive(Debug)]
pub(super) struct ShownWatch {
    connection: Arc<RustConnection>,
    /// A window of our own: a message to it ends the watch.
    bell: Window,
    thread: Option<Thread>,
}

impl ShownWatch {
    /// Watches `window` from now on; none where it is not X11's or can't be watched: then it is painted unseen, too.
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
            // Without the server there is no window to be seen either.
            let _ = waiter.run();
        };
        let thread = thread::short("lf-shown", wait)?;
        Ok(Self { connection, bell, thread: Some(thread) })
    }
}

impl Drop for ShownWatch {
    fn drop(&mut self) {
        let end = ClientMessageEvent::new(32, self.bell, AtomEnum::NONE, [0; 5]);
        // Where the connection is broken, the thread has ended.
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
        // Whether others cover it, and whether winit takes it for covered.
        let (mut is_covered, mut is_told) = (false, false);
        loop {
            let is_hidden = is_covered || !self.is_viewable()?;
            if is_hidden != is_told {
                self.tell(is_hidden)?;
                is_told = is_hidden;
            }
            // Whatever else comes, it or a frame around it may have been put on the screen or taken off.
            let event = self.connection.wait_for_event()?;
            if let Event::VisibilityNotify(event) = event {
                if event.response_type & SENT == 0 {
                    is_covered = event.state == Visibility::FULLY_OBSCURED;
                    is_told = is_covered;
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

    /// Whether it is on the screen with all that is around it.
    fn is_viewable(&self) -> Result<bool, ReplyOrIdError> {
        let attributes = self.connection.get_window_attributes(self.window)?.reply()?;
        Ok(attributes.map_state == MapState::VIEWABLE)
    }

    /// Says in the server's place whether others cover the window.
    fn tell(&self, is_covered: bool) -> Result<(), ReplyOrIdError> {
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

    /// Hears of the window manager's frames around the window, which may be hidden in its place.
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

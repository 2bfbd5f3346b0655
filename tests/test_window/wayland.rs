//! The window under a Wayland compositor that decorates nothing, as GNOME's: it brings its own title bar, by which it
//! can be moved and closed.

use super::primary_lever;
use super::stage::Stage;
use crate::support::compositor::NOTHING;
use crate::support::display::Picture;
use crate::support::process::look_until;

/// The rail of the pages, and the page, in the dark and in the light.
const FACES: [[u32; 2]; 2] = [[0x19_1C_22, 0x12_14_18], [0xFF_FF_FF, 0xF4_F5_F7]];

#[test]
fn under_wayland_the_window_has_a_title_bar_by_which_it_is_moved_and_closed() {
    let Some((stage, compositor)) = Stage::set_under_wayland() else { return };
    let mut window = stage.open_under(&compositor, stage.program(&[]));

    // At rest when it is seen twice in one place: a compositor may show a new window as it grows.
    let mut before = None;
    let content = look_until("the window with something to start, at rest", || {
        let picture = Some(stage.display.picture()).filter(|picture| primary_lever(picture).is_some())?;
        let now = content_of(&picture)?;
        let is_at_rest =
            before.replace((now.left, now.right, now.top)) == Some((now.left, now.right, now.top));
        is_at_rest.then_some(now)
    });
    let picture = stage.display.picture();
    // What lies above the content belongs to the window.
    let title = (content.left + 300, content.top - 17);
    let above = picture.pixel(title.0, title.1);
    assert_ne!(above, NOTHING, "the window has a title bar");

    // It is moved by it, away from the nearer edges of the screen.
    let towards = |at: u16, middle: u16| if at < middle { 60_i32 } else { -60 };
    let by = (towards(content.left, 160), towards(content.top, 110));
    let to = (i32::from(title.0) + by.0, i32::from(title.1) + by.1);
    let to = (u16::try_from(to.0).expect("on it"), u16::try_from(to.1).expect("on it"));
    let is_moved = |now: &Content| now.left != content.left && now.top != content.top;
    stage.display.drag(title, to, || content_of(&stage.display.picture()).is_some_and(|now| is_moved(&now)));
    // At rest when it is seen twice in one place.
    let mut before = None;
    let moved = look_until("the window at rest", || {
        let now = content_of(&stage.display.picture()).filter(is_moved)?;
        let is_at_rest = before.replace((now.left, now.top)) == Some((now.left, now.top));
        is_at_rest.then_some(now)
    });
    let went =
        (i32::from(moved.left) - i32::from(content.left), i32::from(moved.top) - i32::from(content.top));
    // It begins to move with the pointer's second movement.
    let is_part = |went: i32, by: i32| (by / 2..=by).contains(&went) || (by..=by / 2).contains(&went);
    assert!(is_part(went.0, by.0) && is_part(went.1, by.1), "went by {went:?} when dragged by {by:?}");

    // Its cross closes it.
    stage.display.click((moved.right - 17, moved.top - 17));
    assert_eq!(window.wait().code(), Some(0));
}

/// Where the window's content lies.
#[derive(Debug)]
struct Content {
    left: u16,
    right: u16,
    top: u16,
}

/// The smallest rectangle around the colours of the window's rail and page.
fn content_of(picture: &Picture) -> Option<Content> {
    FACES.iter().find_map(|[rail, page]| {
        let ((left, top), _) = picture.corners_of(*rail, 3000)?;
        let (_, (right, _)) = picture.corners_of(*page, 3000)?;
        Some(Content { left, right: right + 1, top })
    })
}

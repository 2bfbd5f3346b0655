//! How much room the window has: by it every view chooses its layout.

use egui::{Context, Vec2};

/// In a narrower window rows and heads show less beside one another.
const NARROW: f32 = 820.0;
/// Up to this size only one thing is shown.
const TINY: Vec2 = Vec2::new(480.0, 330.0);

/// The room that the window has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// For the living runs alone.
    Tiny,
    /// For every page, with levers that are only icons.
    Narrow,
    /// For everything.
    Wide,
}

impl Room {
    /// The present one.
    pub(super) fn of(ctx: &Context) -> Self {
        let size = ctx.content_rect().size();
        if size.x < TINY.x || size.y < TINY.y {
            Self::Tiny
        } else if size.x < NARROW {
            Self::Narrow
        } else {
            Self::Wide
        }
    }

    /// Whether there is room for everything.
    pub(super) fn is_wide(self) -> bool {
        self == Self::Wide
    }

    /// The width of the navigation rail.
    pub(super) const fn rail(self) -> f32 {
        match self {
            Self::Tiny => 0.0,
            Self::Narrow => 52.0,
            Self::Wide => 72.0,
        }
    }

    /// The margin at the left and right of a page.
    pub(super) const fn margin(self) -> i8 {
        match self {
            Self::Tiny => 8,
            Self::Narrow => 12,
            Self::Wide => 20,
        }
    }
}

/// The width of something over the page that would like to be this wide.
pub(super) fn fitted(ctx: &Context, width: f32) -> f32 {
    width.min(ctx.content_rect().width() - 48.0)
}

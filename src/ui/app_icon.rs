//! The program's icon for window lists: a lever in its slot, drawn by code in one size.

use egui::{IconData, Pos2, Vec2, pos2, vec2};

/// Its width and height in pixels.
const SIZE: u32 = 128;
const GROUND: [u8; 3] = [0x19, 0x1C, 0x22];
const SLOT: [u8; 3] = [0x3A, 0x42, 0x50];
const LEVER: [u8; 3] = [0xA7, 0xAF, 0xBC];
const KNOB: [u8; 3] = [0x5A, 0xB0, 0xFF];

/// The icon.
pub(super) fn app_icon() -> IconData {
    let mut rgba = Vec::with_capacity((SIZE * SIZE * 4) as usize);
    for y in 0..SIZE {
        for x in 0..SIZE {
            rgba.extend(pixel(pos2(x as f32 + 0.5, y as f32 + 0.5) / SIZE as f32));
        }
    }
    IconData { rgba, width: SIZE, height: SIZE }
}

/// The colour at a place, both of whose coordinates are between 0 and 1.
fn pixel(at: Pos2) -> [u8; 4] {
    let pivot = pos2(0.5, 0.76);
    let knob = pos2(0.66, 0.3);
    let shapes = [
        (rounded(at, pos2(0.5, 0.5), vec2(0.47, 0.47), 0.2), GROUND),
        (rounded(at, pivot, vec2(0.26, 0.07), 0.07), SLOT),
        (segment(at, pivot, knob) - 0.045, LEVER),
        (at.distance(knob) - 0.15, KNOB),
    ];
    let mut color = [0.0; 3];
    let mut alpha = 0.0;
    for (distance, paint) in shapes {
        let cover = (0.5 - distance * SIZE as f32).clamp(0.0, 1.0);
        for (channel, paint) in color.iter_mut().zip(paint) {
            *channel += (f32::from(paint) - *channel) * cover;
        }
        alpha += (1.0 - alpha) * cover;
    }
    let [r, g, b] = color.map(|channel| channel.round() as u8);
    [r, g, b, (alpha * 255.0).round() as u8]
}

/// The distance to a rectangle with round corners; negative inside.
fn rounded(at: Pos2, center: Pos2, half: Vec2, radius: f32) -> f32 {
    let outside = (at - center).abs() - half + Vec2::splat(radius);
    outside.max(Vec2::ZERO).length() + outside.x.max(outside.y).min(0.0) - radius
}

/// The distance to a line from `a` to `b`.
fn segment(at: Pos2, a: Pos2, b: Pos2) -> f32 {
    let along = ((at - a).dot(b - a) / (b - a).length_sq()).clamp(0.0, 1.0);
    at.distance(a + (b - a) * along)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_corners_are_clear_and_its_knob_has_the_colour_of_what_runs() {
        let icon = app_icon();
        let at = |x: u32, y: u32| {
            let from = ((y * icon.width + x) * 4) as usize;
            [icon.rgba[from], icon.rgba[from + 1], icon.rgba[from + 2], icon.rgba[from + 3]]
        };
        assert_eq!(icon.rgba.len(), (icon.width * icon.height * 4) as usize);
        assert_eq!(at(0, 0)[3], 0);
        assert_eq!(at(84, 38), [0x5A, 0xB0, 0xFF, 255]);
        assert_eq!(at(64, 12), [0x19, 0x1C, 0x22, 255]);
    }
}

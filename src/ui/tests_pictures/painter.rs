//! Paints what a test's window shows into a picture, on the CPU.

use std::collections::HashMap;

use dream_soft_render::{ClipRect, Color, Frame, MAX_SURFACE_PIXELS, Mesh, SoftwareRenderer, Vertex};
use egui::epaint::{ImageData, ImageDelta};
use egui::{ClippedPrimitive, Color32, Context, FullOutput, TextureId, TexturesDelta, epaint};
use egui_kittest::TestRenderer;
use image::RgbaImage;

/// A renderer of triangles with egui's textures.
#[derive(Default)]
pub(crate) struct Painter {
    renderer: SoftwareRenderer,
    textures: HashMap<TextureId, dream_soft_render::TextureId>,
}

impl TestRenderer for Painter {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        for (id, images) in delta.set.drain() {
            images.iter().for_each(|image| self.put_texture(id, image));
        }
        for id in delta.free.drain() {
            self.free_texture(id);
        }
    }

    fn render(&mut self, ctx: &Context, output: &FullOutput) -> Result<RgbaImage, String> {
        let scale = ctx.pixels_per_point();
        let size = ctx.content_rect().size() * scale;
        let (width, height) = (size.x.round() as usize, size.y.round() as usize);
        let primitives = ctx.tessellate(output.shapes.clone(), scale);
        // The renderer's surface holds less than a window: it is painted in strips.
        let strip = (MAX_SURFACE_PIXELS / width).min(height);
        let mut bytes = Vec::with_capacity(width * height * 4);
        for top in (0..height).step_by(strip) {
            let mut frame = self
                .renderer
                .begin_frame(width, strip.min(height - top))
                .map_err(|error| error.to_string())?;
            frame.clear(Color::BLACK);
            for primitive in &primitives {
                paint(&mut frame, &self.textures, primitive, top, scale)?;
            }
            bytes.extend_from_slice(&frame.surface().pixels);
        }
        RgbaImage::from_raw(width as u32, height as u32, bytes).ok_or("the strips are no picture".to_owned())
    }
}

impl Painter {
    fn put_texture(&mut self, id: TextureId, delta: &ImageDelta) {
        let ImageData::Color(image) = &delta.image;
        let ([width, height], bytes) = (image.size, to_bytes(&image.pixels));
        match delta.pos {
            Some([x, y]) => {
                let texture = self.textures[&id];
                self.renderer.update_texture(texture, x, y, width, height, &bytes).unwrap();
            }
            None => {
                self.free_texture(id);
                let texture = self.renderer.create_texture(width, height, &bytes).unwrap();
                self.textures.insert(id, texture);
            }
        }
    }

    fn free_texture(&mut self, id: TextureId) {
        if let Some(texture) = self.textures.remove(&id) {
            self.renderer.free_texture(texture).unwrap();
        }
    }
}

/// Paints the part of a primitive that is on the strip which begins at the row `top`.
fn paint(
    frame: &mut Frame<'_>,
    textures: &HashMap<TextureId, dream_soft_render::TextureId>,
    primitive: &ClippedPrimitive,
    top: usize,
    scale: f32,
) -> Result<(), String> {
    let epaint::Primitive::Mesh(mesh) = &primitive.primitive else {
        return Err("the window has a paint callback, which needs a graphics card".to_owned());
    };
    let vertices: Vec<Vertex> = mesh
        .vertices
        .iter()
        .map(|vertex| {
            let pos = [vertex.pos.x * scale, vertex.pos.y * scale - top as f32];
            Vertex::new(pos, [vertex.uv.x, vertex.uv.y], color(vertex.color))
        })
        .collect();
    let texture = textures.get(&mesh.texture_id).ok_or("a mesh has no texture")?;
    let mesh = Mesh { vertices: &vertices, indices: &mesh.indices, texture: Some(*texture) };
    frame.mesh(mesh, clip(primitive.clip_rect * scale, top)).map_err(|error| error.to_string())
}

/// A clip rectangle in whole pixels of the strip; negative values are cast to 0.
fn clip(rect: egui::Rect, top: usize) -> ClipRect {
    let row = |y: f32| (y.round() - top as f32) as u32;
    ClipRect::new(
        rect.left().round() as u32,
        row(rect.top()),
        rect.right().round() as u32,
        row(rect.bottom()),
    )
}

fn color(color: Color32) -> Color {
    let [r, g, b, a] = color.to_array();
    Color::from_rgba_premultiplied(r, g, b, a)
}

fn to_bytes(pixels: &[Color32]) -> Vec<u8> {
    pixels.iter().flat_map(Color32::to_array).collect()
}

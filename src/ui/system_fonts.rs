//! Fonts of the system, for characters that the window's own fonts lack, such as those of Chinese or Arabic in a log.
//! They are looked for on a thread of its own when the first such character is shown, which takes its time; until then
//! its place is a box, and no frame waits.

use std::sync::{Arc, OnceLock};

use egui::epaint::text::{FallbackRequest, FontInsert, FontProvider};
use egui::{Context, FontFamily};
use egui_system_font_provider::SystemFontProvider;
use parking_lot::Mutex;

use crate::base::thread::{self, Thread};

/// Lets `ctx` show what fonts of the system have.
pub(super) fn install(ctx: &Context) {
    ctx.add_font_provider(Arc::new(Later::new(ctx, SystemFontProvider::new)));
}

/// Asks another provider, which may take long, on a thread, and adds what it finds to the fonts.
struct Later<P> {
    ctx: Context,
    slow: Arc<Slow<P>>,
}

struct Slow<P> {
    make: fn() -> P,
    /// Made with the first question.
    provider: OnceLock<P>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Characters without a font; bounded, because each is asked for once.
    questions: Vec<(String, FontFamily)>,
    /// Whether the thread goes on to ask.
    is_asking: bool,
    thread: Option<Thread>,
}

impl<P: FontProvider + 'static> Later<P> {
    fn new(ctx: &Context, make: fn() -> P) -> Self {
        let slow = Slow { make, provider: OnceLock::new(), waiting: Mutex::default() };
        Self { ctx: ctx.clone(), slow: Arc::new(slow) }
    }
}

impl<P: FontProvider + 'static> FontProvider for Later<P> {
    /// Nothing yet; the font is added when it is found.
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let mut waiting = self.slow.waiting.lock();
        waiting.questions.push((request.cluster.to_owned(), request.family.clone()));
        if !waiting.is_asking {
            let (ctx, slow) = (self.ctx.clone(), self.slow.clone());
            // Without a thread the character stays a box. One before has nothing left to do and ends.
            waiting.thread = thread::short("lf-fonts", move || slow.answer(&ctx)).ok();
            waiting.is_asking = waiting.thread.is_some();
        }
        None
    }
}

impl<P: FontProvider> Slow<P> {
    /// Answers until no question waits.
    fn answer(&self, ctx: &Context) {
        while let Some((cluster, family)) = self.next() {
            let provider = self.provider.get_or_init(self.make);
            let request = FallbackRequest { cluster: &cluster, family: &family };
            if let Some(font) = provider.font_for(&request) {
                ctx.add_font(font);
                ctx.request_repaint();
            }
        }
    }

    fn next(&self) -> Option<(String, FontFamily)> {
        let mut waiting = self.waiting.lock();
        let next = waiting.questions.pop();
        waiting.is_asking = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Sender, unbounded};

    use super::*;

    /// Finds nothing, and says so for each question.
    struct Nothing;

    static ASKED: Mutex<Option<Sender<String>>> = Mutex::new(None);

    impl FontProvider for Nothing {
        fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
            let asked = ASKED.lock();
            asked.as_ref().unwrap().send(request.cluster.to_owned()).unwrap();
            None
        }
    }

    #[test]
    fn no_frame_waits_for_a_font_and_each_character_is_looked_for() {
        // Unbounded: two questions.
        let (asked, heard) = unbounded();
        *ASKED.lock() = Some(asked);
        let later = Later::new(&Context::default(), || Nothing);
        assert!(later.slow.provider.get().is_none(), "nothing is done at the start");
        for cluster in ["漢", "م"] {
            let request = FallbackRequest { cluster, family: &FontFamily::Monospace };
            assert!(later.font_for(&request).is_none());
        }
        let wait = || heard.recv_timeout(Duration::from_secs(20)).unwrap();
        let mut found = [wait(), wait()];
        found.sort();
        assert_eq!(found, ["م", "漢"]);
    }
}

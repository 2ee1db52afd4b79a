//! What a thread remembers of tracers: its entrance to each, and to that of the default tracer, so that a
//! span starts without a lock or a counter that threads share.

use std::{cell::RefCell, sync::Arc};

use super::Core;
use crate::{default, export::buffer::Buffer};

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { buffers: vec![], default: None }) };
}

struct Known {
    buffers: Vec<Arc<Buffer>>,
    /// The default tracer's, and which default that was.
    default: Option<(u64, Arc<Buffer>)>,
}

impl Known {
    fn of(&mut self, core: &Arc<Core>) -> Arc<Buffer> {
        let known = self.buffers.iter().find(|buffer| Arc::ptr_eq(buffer.core(), core) && buffer.is_here());
        known.cloned().unwrap_or_else(|| {
            self.buffers.retain(|buffer| !buffer.is_over());
            let buffer = Buffer::new(core);
            self.buffers.push(Arc::clone(&buffer));
            buffer
        })
    }

    fn of_default(&mut self) -> Option<Arc<Buffer>> {
        let generation = default::generation();
        match &self.default {
            Some((known, buffer)) if *known == generation && buffer.is_here() => Some(Arc::clone(buffer)),
            _ => {
                self.default = None;
                let tracer = crate::default_tracer()?;
                let buffer = self.of(tracer.core());
                self.default = Some((generation, Arc::clone(&buffer)));
                Some(buffer)
            }
        }
    }
}

/// Returns the entrance of this thread to a tracer. At the end of a thread it is made for one span.
pub(crate) fn buffer(core: &Arc<Core>) -> Arc<Buffer> {
    KNOWN.try_with(|known| known.borrow_mut().of(core)).unwrap_or_else(|_| Buffer::new(core))
}

/// Returns the entrance of this thread to the default tracer, if there is one.
#[inline]
pub(crate) fn default_buffer() -> Option<Arc<Buffer>> {
    let known = KNOWN.try_with(|known| known.borrow_mut().of_default());
    known.unwrap_or_else(|_| Some(Buffer::new(crate::default_tracer()?.core())))
}

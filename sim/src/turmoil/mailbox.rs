//! How the outside speaks to a host between two of its turns.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Letters for one reader.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    letters: RefCell<VecDeque<T>>,
    reader: RefCell<Option<Waker>>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { letters: RefCell::default(), reader: RefCell::default() }
    }
}

impl<T> Mailbox<T> {
    /// Puts a letter in, and wakes the reader.
    pub(super) fn post(&self, letter: T) {
        self.letters.borrow_mut().push_back(letter);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The oldest letter.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        match self.letters.borrow_mut().pop_front() {
            Some(letter) => Poll::Ready(letter),
            None => {
                self.reader.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Waits for the next letter.
    pub(super) async fn next(&self) -> T {
        poll_fn(|context| self.poll(context)).await
    }

    /// The reader has died, and its letters with it.
    pub(super) fn clear(&self) {
        self.letters.borrow_mut().clear();
    }
}

//! Keeps every core awake, so that a latency is the server's and not that of waking a halted processor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// One thread of lowest priority on each core, until dropped.
pub(crate) struct Spinners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinners {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|core| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(core);
                // Without these it still keeps a core awake; it only is less polite about it.
                let polite = sched_setaffinity(None, &only).and(rustix::process::nice(19).map(drop));
                if polite.is_err() {
                    eprintln!("note: spinning threads run with normal priority");
                }
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot panic; and if it did, there would be nothing to do about it.
            drop(thread.join());
        }
    }
}

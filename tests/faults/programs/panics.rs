// Panics that unwind through frames with something to drop, and threads.
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Guard;

impl Drop for Guard {
    #[inline(never)]
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

#[no_mangle]
#[inline(never)]
pub fn dive(depth: u64, value: u64) -> u64 {
    let _guard = Guard;
    if depth == 1 {
        if value % 2 == 1 {
            std::panic::resume_unwind(Box::new(value));
        }
        return value;
    }
    dive(depth - 1, value) + 1
}

fn main() {
    let threads: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(|| (0..23).map(|i| catch_unwind(|| dive(20, i)).unwrap_or(1000)).sum::<u64>())
        })
        .collect();
    let sums: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    println!("{:?} {}", sums, DROPPED.load(Ordering::Relaxed));
    std::process::exit(13);
}

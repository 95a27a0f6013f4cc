// Every way in which a Rust function is left.
use std::hint::black_box;
use std::panic;

trait Shape {
    fn area(&self, n: u32) -> u32;
}
struct Square(u32);
struct Outer(Box<dyn Shape>);
impl Shape for Square {
    #[inline(never)]
    fn area(&self, n: u32) -> u32 {
        n.wrapping_mul(self.0)
    }
}
impl Shape for Outer {
    #[inline(never)]
    fn area(&self, n: u32) -> u32 {
        self.0.area(n + 1)
    }
}

#[inline(never)]
fn choose(n: u32) -> u32 {
    match n {
        0 => leaf(4),
        1 => leaf(n).wrapping_mul(7),
        2 => panics(1),
        3 => 9,
        4 => leaf(leaf(n)),
        5 => panics(2) + 3,
        _ => panics(n),
    }
}
#[inline(never)]
fn leaf(n: u32) -> u32 {
    black_box(n) ^ 5
}
#[inline(never)]
fn panics(n: u32) -> u32 {
    if n > 7 {
        panic!("more than seven");
    }
    leaf(n + 1)
}
#[inline(never)]
fn owner(n: u32) -> usize {
    let text = vec![b'x'; 5 + n as usize];
    choose(n) as usize + text.len()
}

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let shape: Box<dyn Shape> = black_box(Box::new(Outer(Box::new(Square(3)))));
    let mut sum = 0;
    for n in 0..10 {
        sum += panic::catch_unwind(|| owner(black_box(n))).unwrap_or(1);
        sum += shape.area(n) as usize;
    }
    black_box(sum);
}

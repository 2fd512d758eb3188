//! A mutation driver for stable Rust; see README.md.

mod memory;
mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LONGEST_INPUT: usize = 20_000;
/// Far beyond what any input needs, so that a busy machine raises no alarm.
const SLOWEST: Duration = Duration::from_secs(5);
const LARGEST_CORPUS: usize = 50_000;
const MEMORY: usize = 16 << 20;
const MEMORY_PER_BYTE: usize = 256;

type Target = fn(&[u8]) -> u64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let target: Option<Target> = match arguments.get(1).map(String::as_str) {
        Some("frames") => Some(targets::frames),
        Some("walk") => Some(targets::walk),
        Some("columns") => Some(targets::columns),
        _ => None,
    };
    let Some(target) = target else {
        eprintln!("usage: messwerk-fuzz frames|walk|columns [--seconds 60] [--seed 1] [--input FILE]");
        return ExitCode::FAILURE;
    };
    if let Some(path) = option("--input") {
        let input = std::fs::read(path).expect("a readable input file");
        println!("behaviour {:016x}", target(&input));
        return ExitCode::SUCCESS;
    }
    let number = |name, default| option(name).map_or(default, |text| text.parse().expect("a number"));
    run(&arguments[1], target, Duration::from_secs(number("--seconds", 60)), number("--seed", 1))
}

fn run(name: &str, target: Target, duration: Duration, seed: u64) -> ExitCode {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut corpus = seeds();
    let mut known = HashSet::new();
    let begin = Instant::now();
    let (mut runs, mut slowest, mut largest) = (0u64, Duration::ZERO, 0);
    while begin.elapsed() < duration {
        let input = match corpus.get(runs as usize) {
            Some(seed) if runs < corpus.len() as u64 => seed.clone(),
            _ => mutated(&corpus, &mut random),
        };
        memory::begin();
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let (took, peak) = (started.elapsed(), memory::peak());
        let complaint = match outcome {
            Err(_) => Some("panicked".to_string()),
            Ok(_) if took > SLOWEST => Some(format!("took {took:?}")),
            Ok(_) if peak > MEMORY + MEMORY_PER_BYTE * input.len() => Some(format!("allocated {peak} bytes")),
            Ok(behaviour) => {
                if known.insert(behaviour) {
                    match corpus.len() {
                        LARGEST_CORPUS => corpus[random.below(LARGEST_CORPUS)] = input.clone(),
                        _ => corpus.push(input.clone()),
                    }
                }
                None
            }
        };
        if let Some(complaint) = complaint {
            let path = format!("fuzz-{name}-{seed}-{runs}.bin");
            std::fs::write(&path, &input).expect("a writable folder");
            eprintln!("{name}: an input of {} bytes {complaint}; kept as {path}", input.len());
            return ExitCode::FAILURE;
        }
        runs += 1;
        slowest = slowest.max(took);
        largest = largest.max(peak);
    }
    println!(
        "{name}: {runs} inputs in {:.0} s, {} behaviours, slowest {slowest:?}, at most {largest} bytes allocated",
        begin.elapsed().as_secs_f64(),
        known.len()
    );
    ExitCode::SUCCESS
}

/// The synthetic kinds, each as it is and without its frame, with every option byte in front.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    for line in include_str!("../seeds.txt").lines() {
        let digits = line.rsplit(' ').next().expect("hex digits at the end").as_bytes();
        let stream: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("hex"))
            .collect();
        for option in [0, 1, 0x2A, 0xFF] {
            seeds.push([&[option], &stream[..]].concat());
        }
        if stream.len() > 24 {
            seeds.push([&[1], &stream[8..stream.len() - 8]].concat());
            seeds.push(stream[8..stream.len() - 8].to_vec());
        }
    }
    seeds
}

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const TELLING: [u8; 16] = [0, 1, 2, 3, 0x1A, 0x1B, 0x42, 0x52, 0x59, 0x62, 0x63, 0x65, 0x71, 0x72, 0x76, 0xF1];
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 if at < input.len() => input[at] = TELLING[random.below(TELLING.len())],
            3 => input.insert(at, TELLING[random.below(TELLING.len())]),
            4 => {
                let end = (at + 1 + random.below(8)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let run = vec![[0x1B, 0x00, 0x71, 0x01][random.below(4)]; 1 + random.below(12)];
                input.splice(at..at, run);
            }
            6 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let end = (from + random.below(200)).min(other.len());
                input.splice(at..at, other[from..end].iter().copied());
            }
            _ => {
                let end = (at + random.below(100)).min(input.len());
                let copy = input[at.min(end)..end].to_vec();
                input.extend(copy);
            }
        }
    }
    input.truncate(LONGEST_INPUT);
    input
}

/// xorshift64: enough to choose mutations, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

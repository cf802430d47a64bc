//! The project's own commands: `cargo xtask tidy`, `test`, `gen`, `bench` and `torture`.

mod bench;
mod conformance;
mod coverage;
mod documents;
mod generate;
mod proofs;
mod shutdown;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy          check what the compiler does not: floors, dependencies, licences, docs, file sizes
  test          build the binaries, run every test, end with one summary line
  test FILTER   the same for the tests whose names contain FILTER
  twins         which pages lack a Korean twin, or have one that fell behind, and the line it must
                open with; --stamp FILE… writes that line when a translation was compared
  blocks        which shell blocks of the documents are not run, and why
  gen           code and descriptors from the .proto files; --check only compares
  bench proxy   plain proxying beside nginx, CPU per request in paired rounds
  bench graphql [--json]
                a federated query beside Apollo Gateway, CPU per query in paired rounds
  conformance [--json | --write | --page]
                every suite on every engine: prints the table of engines and cases, or writes it
                into the docs; --page writes what the last run found, also that of all tests
  coverage [--json | --write]
                each section of the guides, where it is shown, and how its tests went when they last
                ran; --write writes docs/coverage.md in both languages
  pitfalls [--json | --write]
                what the guides' code gets wrong, and the tests that it does not happen here;
                --write writes docs/pitfalls.md in both languages
  bench log --engine postgres [--json]
                batched appends to the log in PostgreSQL beside one call per append, in paired rounds
  torture shop  the chaos demo ten times, one line of JSON each and one for all;
                [--runs N] [--kills N] [--orders N] [--flow FLOW] [--polyglot] [--seed N] [--json]
                [-- FLAG…]; status 0 only if every run balances
  torture shutdown
                stop gateways and services under load 20 times; no accepted request may be lost;
                [--runs N]
  help          print this text";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["test", rest @ ..] => test::run(rest),
        ["twins", rest @ ..] => documents::twins::run(rest),
        ["blocks", rest @ ..] => documents::blocks::run(rest),
        ["gen", rest @ ..] => generate::run(rest),
        ["conformance", rest @ ..] => conformance::run(rest),
        // Not for people: what `test` makes the runner of test binaries.
        ["announce", program, rest @ ..] => proofs::announce::run(program, rest),
        ["pitfalls", rest @ ..] => coverage::pitfalls::run(rest),
        ["coverage", rest @ ..] => coverage::run(rest),
        ["torture", "shop", rest @ ..] => torture::run(rest),
        ["torture", "shutdown", rest @ ..] => shutdown::run(rest),
        ["bench", name, rest @ ..] => bench::run(name, rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

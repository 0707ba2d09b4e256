//! Tells the program which versions it is made of.

use std::{env, fs, process::Command};

fn main() {
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    let version = lock.split("name = \"kube\"\nversion = \"").nth(1).unwrap().split('"').next().unwrap();
    let rustc = Command::new(env::var("RUSTC").unwrap()).arg("--version").output().unwrap().stdout;
    let rustc = String::from_utf8(rustc).unwrap();
    println!("cargo::rustc-env=LINKED=kube-rs {version}, rustc {}", rustc.split(' ').nth(1).unwrap());
    println!("cargo::rerun-if-changed=Cargo.lock");
}

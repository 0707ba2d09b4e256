//! kube-rs as a contender: a reflector of Pods that syncs and takes a flood of updates; prints its costs.
//!
//! Settings: `streaming_lists()`, the sync that kube-rs recommends for servers that have it; `#[tokio::main]` (a worker
//! thread per core) and the default client (no compression, no rate limit), as its examples do; the system's allocator;
//! a release build with thin LTO. The store has no indexes, and without unstable features a stream has one consumer.
//! Variants: `typed` (`Pod`), `pruned` (`Pod` without its managed fields, as kube-rs advises where nobody needs them),
//! `dynamic` (`DynamicObject`, what CRDs without a type get) and `metadata` (`PartialObjectMeta`).

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{env, error::Error, fmt::Debug, fs, hash::Hash, mem, sync::Arc};

use futures::{StreamExt, future};
use http::Request;
use k8s_openapi::{api::core::v1::Pod, serde::de::DeserializeOwned};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt};
use tokio::{sync::Notify, time};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Returns the value of `--name`.
fn option(name: &str, default: &str) -> String {
    let arguments: Vec<String> = env::args().collect();
    arguments.windows(2).find(|pair| pair[0] == name).map_or(default.into(), |pair| pair[1].clone())
}

/// Returns the CPU seconds that this process has used, user and system.
fn cpu() -> f64 {
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    [usage.ru_utime, usage.ru_stime].iter().map(|time| time.tv_sec as f64 + time.tv_usec as f64 / 1e6).sum()
}

/// Returns a size that the kernel tells of this process, in bytes: `VmRSS` or `VmHWM`.
fn memory(name: &str) -> Fallible<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or(name)?;
    Ok(line.split_whitespace().nth(1).ok_or(line)?.parse::<u64>()? * 1024)
}

/// Counts events and wakes who waits for so many.
#[derive(Default)]
struct Counter {
    seen: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
}

impl Counter {
    fn add(&self) {
        if self.seen.fetch_add(1, SeqCst) + 1 == self.wanted.load(SeqCst) {
            self.reached.notify_one();
        }
    }
}

/// Syncs a store of `K` and takes the flood; returns the costs.
async fn measure<K>(client: Client, kind: K::DynamicType) -> Fallible<serde_json::Value>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    let (objects, events) = (option("--objects", "").parse()?, option("--events", "").parse()?);
    let trickle: usize = option("--trickle", "0").parse()?;
    let prune = option("--variant", "") == "pruned";
    let pods: Api<K> = Api::all_with(client.clone(), &kind);
    let counter = Arc::new(Counter { wanted: AtomicUsize::new(objects), ..Counter::default() });
    let writer = reflector::store::Writer::new(kind);
    let store = writer.as_reader();
    let handled = counter.clone();
    let reflector = watcher(pods, watcher::Config::default().streaming_lists())
        .default_backoff()
        .modify(move |pod| {
            if prune {
                pod.managed_fields_mut().clear();
            }
        })
        .reflect(writer)
        .applied_objects()
        .for_each(move |pod| {
            pod.map(|_| handled.add()).unwrap_or_else(|error| eprintln!("{error}"));
            future::ready(())
        });

    let (empty, before, begun) = (memory("VmRSS")?, cpu(), Instant::now());
    let reflecting = tokio::spawn(reflector);
    counter.reached.notified().await;
    store.wait_until_ready().await?;
    let (sync_cpu, sync_seconds, peak) = (cpu() - before, begun.elapsed().as_secs_f64(), memory("VmHWM")?);
    assert_eq!((counter.seen.load(SeqCst), store.len()), (objects, objects));
    time::sleep(Duration::from_millis(500)).await;
    let resident = memory("VmRSS")?;
    unsafe { libc::malloc_trim(0) };
    let trimmed = memory("VmRSS")?;

    let flood = async |path: String, count: usize| -> Fallible<(f64, f64)> {
        counter.wanted.store(counter.seen.load(SeqCst) + count, SeqCst);
        let (before, begun) = (cpu(), Instant::now());
        client.request_text(Request::get(path).body(vec![])?).await?;
        counter.reached.notified().await;
        Ok((cpu() - before, begun.elapsed().as_secs_f64()))
    };
    let (event_cpu, event_seconds) = flood("/flood".into(), events).await?;
    let mut found = serde_json::json!({
        "version": env!("LINKED"),
        "empty_rss": empty, "rss": resident, "rss_collected": trimmed, "peak_rss": peak,
        "sync_seconds": sync_seconds, "sync_cpu": sync_cpu, "event_seconds": event_seconds, "event_cpu": event_cpu,
    });
    if trickle > 0 {
        found["trickle_cpu"] = flood(format!("/trickle?rate=100&count={trickle}"), trickle).await?.0.into();
    }
    reflecting.abort();
    reflecting.await.expect_err("it was cancelled");
    assert_eq!((counter.seen.load(SeqCst), store.len()), (objects + events + trickle, objects));
    Ok(found)
}

#[tokio::main]
async fn main() -> Fallible<()> {
    if option("--handlers", "1") != "1" || option("--indexes", "0") != "0" {
        return Err("one handler and no index".into());
    }
    let client = Client::try_from(Config::new(option("--url", "").parse()?))?;
    let found = time::timeout(Duration::from_secs(300), async {
        match option("--variant", "").as_str() {
            "typed" | "pruned" => measure::<Pod>(client, ()).await,
            "dynamic" => measure::<DynamicObject>(client, ApiResource::erase::<Pod>(&())).await,
            "metadata" => measure::<PartialObjectMeta<Pod>>(client, ()).await,
            other => Err(format!("no variant {other}").into()),
        }
    });
    println!("{}", found.await??);
    Ok(())
}

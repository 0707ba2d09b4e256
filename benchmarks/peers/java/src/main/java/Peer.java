import com.sun.management.OperatingSystemMXBean;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.Version;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/**
 * fabric8's kubernetes-client as a contender: one informer of Pods that syncs and takes a flood of updates; prints its
 * costs.
 *
 * <p>Settings: {@code onlyHttpWatches}, since the replay server speaks no WebSocket; logging off; else the defaults,
 * also the JVM's. The informer indexes namespaces by itself, and {@code spec.nodeName} here. CPU is the process's: with
 * the JVM's compiler and collector. Variants: {@code typed}, with {@code watchList}, which streams the sync and is off
 * by default; {@code typed-list}, without.
 */
public class Peer {
  static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  static final double DEADLINE = now() + 300;

  /** Handles events by doing nothing. */
  static class Idle implements ResourceEventHandler<Pod> {
    public void onAdd(Pod pod) {}

    public void onUpdate(Pod old, Pod pod) {}

    public void onDelete(Pod pod, boolean finalStateUnknown) {}
  }

  /** Counts adds and updates, and wakes who waits for so many. */
  static class Counter extends Idle {
    private int seen;
    private int wanted;

    @Override
    public void onAdd(Pod pod) {
      add();
    }

    @Override
    public void onUpdate(Pod old, Pod pod) {
      add();
    }

    private synchronized void add() {
      if (++seen == wanted) {
        notifyAll();
      }
    }

    synchronized int seen() {
      return seen;
    }

    synchronized void until(int count) throws InterruptedException, TimeoutException {
      wanted = count;
      while (seen < wanted) {
        if (now() > DEADLINE) {
          throw new TimeoutException(seen + " of " + wanted + " events in time");
        }
        wait(1000);
      }
    }
  }

  /** Returns the wall clock in seconds. */
  static double now() {
    return System.nanoTime() / 1e9;
  }

  /** Returns the CPU seconds that this process has used, user and system. */
  static double cpu() {
    return SYSTEM.getProcessCpuTime() / 1e9;
  }

  /** Returns a size that the kernel tells of this process, in bytes: VmRSS or VmHWM. */
  static long memory(String name) throws Exception {
    try (var lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(each -> each.startsWith(name)).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
    }
  }

  /** Returns what each Pod is indexed by: its node, and its app label as often as asked. */
  static Map<String, Function<Pod, List<String>>> indexers(int further) {
    Map<String, Function<Pod, List<String>>> indexers = new HashMap<>();
    indexers.put("node", pod -> List.of(pod.getSpec().getNodeName()));
    for (int i = 0; i < further; i++) {
      indexers.put("app-" + i, pod -> List.of(pod.getMetadata().getLabels().get("app")));
    }
    return indexers;
  }

  /** Syncs and takes the flood; puts the costs into {@code found}. */
  static void measure(KubernetesClient client, Map<String, String> options, Map<String, Object> found)
      throws Exception {
    int objects = Integer.parseInt(options.get("--objects"));
    int events = Integer.parseInt(options.get("--events"));
    int trickle = Integer.parseInt(options.get("--trickle"));
    Counter counter = new Counter();
    SharedIndexInformer<Pod> informer = client.pods().inAnyNamespace().runnableInformer(0)
        .addIndexers(indexers(Integer.parseInt(options.get("--indexes")))).addEventHandler(counter);
    for (int i = 1; i < Integer.parseInt(options.get("--handlers")); i++) {
      informer.addEventHandler(new Idle());
    }

    System.gc();
    found.put("empty_rss", memory("VmRSS"));
    double before = cpu();
    double begun = now();
    informer.start().toCompletableFuture().join();
    counter.until(objects);
    found.put("sync_cpu", cpu() - before);
    found.put("sync_seconds", now() - begun);
    found.put("peak_rss", memory("VmHWM"));
    check(counter, objects, informer, objects);
    Thread.sleep(500);
    found.put("rss", memory("VmRSS"));
    System.gc();
    found.put("rss_collected", memory("VmRSS"));

    flood(counter, options.get("--url") + "/flood", events, "event", found);
    if (trickle > 0) {
      flood(counter, options.get("--url") + "/trickle?rate=100&count=" + trickle, trickle, "trickle", found);
    }
    check(counter, objects + events + trickle, informer, objects);
  }

  /** Asks the server for events and waits until all are handled. */
  static void flood(Counter counter, String url, int events, String name, Map<String, Object> found)
      throws Exception {
    int expected = counter.seen() + events;
    double before = cpu();
    double begun = now();
    try (var answer = URI.create(url).toURL().openStream()) {
      answer.readAllBytes();
    }
    counter.until(expected);
    found.put(name + "_cpu", cpu() - before);
    found.put(name + "_seconds", now() - begun);
  }

  /** Checks how many events and objects there are. */
  static void check(Counter counter, int events, SharedIndexInformer<Pod> informer, int objects) {
    int cached = informer.getStore().list().size();
    if (!informer.hasSynced() || counter.seen() != events || cached != objects) {
      throw new IllegalStateException(counter.seen() + " events, " + cached + " objects");
    }
  }

  public static void main(String[] arguments) {
    Map<String, String> options = new HashMap<>(Map.of("--trickle", "0", "--handlers", "1", "--indexes", "0"));
    for (int i = 0; i < arguments.length; i += 2) {
      options.put(arguments[i], arguments[i + 1]);
    }
    String variant = options.get("--variant");
    Config config = new ConfigBuilder(Config.empty()).withMasterUrl(options.get("--url")).withOnlyHttpWatches(true)
        .withWatchList(variant.equals("typed")).build();
    String version = "fabric8 " + Version.clientVersion() + ", Java " + Runtime.version();
    Map<String, Object> found = new HashMap<>(Map.of("version", version));
    try (KubernetesClient client = new KubernetesClientBuilder().withConfig(config).build()) {
      if (!List.of("typed", "typed-list").contains(variant)) {
        throw new IllegalArgumentException("no variant " + variant);
      }
      measure(client, options, found);
      System.out.println(client.getKubernetesSerialization().asJson(found));
    } catch (Exception error) {
      error.printStackTrace();
      System.exit(1);
    }
    System.exit(0); // not all threads of the client are daemons
  }
}

// donations: one percent of each order is given away. A participant of the saga `place-order-polyglot`,
// in Java with nothing but the JDK (17 or later).
//
//   java Donations.java --platform http://127.0.0.1:8500 --listen 127.0.0.1:0 --data DIR [--linger SECONDS]
//
// With --lifeline it ends at once when standard input ends: who started it is gone.
//
// POST /donations          pledges one percent of what an order costs (the step)
// POST /donations/cancel   takes the pledge back (its undo)
// GET  /donations/ORDER    what the ledger says of an order
//
// The ledger is one file, `donations.log`, to which records are appended. An effect and the answer to its
// call are ONE record, so that neither is ever there without the other:
//
//   file    = the 8 bytes "IEUMDON1", then records
//   record  = length (4 bytes, big-endian) of the payload
//             CRC-32 (4 bytes, big-endian) of the length's bytes and the payload
//             payload: JSON, UTF-8, at most 64 KiB
//   payload = { "op": "do" | "undo" | "seen", "saga", "step", "round", "epoch", "at" (ms since 1970),
//               "status", "body"             what the call was answered (not with "seen"),
//               "entry": { "orderId", "kind": "pledge" | "cancel", "amount" }   if there was an effect }
//
// A record is on the disk (fsync) before its call is answered and before the next one is written. So only
// the last one can be torn, by a kill or a power cut; a start cuts it away. Damage anywhere else is no
// torn tail, and the start refuses. What a start has read is copied to a new file that is synced before it
// is believed, because a process may have died of a failed sync.

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

public final class Donations {
    static final String NAME = "donations";
    static final int MOST_BODY = 64 * 1024;
    static final int LONGEST_ID = 200;
    static final int THREADS = 16;
    static final int MOST_WAITING = 256;
    static final Duration DRAIN = Duration.ofSeconds(10);
    static final Duration FLUSH = Duration.ofSeconds(2);
    static final Duration FORGET_PAUSE = Duration.ofHours(1);

    public static void main(String[] arguments) {
        // Without it each answer on a kept connection waits for a delayed ACK.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("sun.net.httpserver.maxReqTime", "30");
        System.setProperty("sun.net.httpserver.maxRspTime", "30");
        System.setProperty("jdk.httpserver.maxConnections", "256");
        try {
            Service.start(Settings.of(arguments));
        } catch (IOException | IllegalArgumentException error) {
            System.err.println("error: " + error.getMessage());
            System.exit(1);
        }
    }

    /** The command line. */
    record Settings(URI platform, String host, int port, Path data, long lingerMillis) {
        static Settings of(String[] arguments) {
            Map<String, String> given = new HashMap<>(Map.of("--platform", "http://127.0.0.1:8500",
                    "--listen", "127.0.0.1:0", "--data", ".", "--linger", "1"));
            for (int i = 0; i < arguments.length; i += 2) {
                if (arguments[i].equals("--lifeline")) {
                    thread("lifeline", Settings::holdLifeline);
                    i--;
                    continue;
                }
                if (!given.containsKey(arguments[i]) || i + 1 == arguments.length) {
                    throw new IllegalArgumentException(
                            "usage: --platform URL --listen HOST:PORT --data DIR --linger SECONDS");
                }
                given.put(arguments[i], arguments[i + 1]);
            }
            String listen = given.get("--listen");
            int colon = listen.lastIndexOf(':');
            String host = listen.substring(0, Math.max(colon, 0));
            long linger = Math.round(Double.parseDouble(given.get("--linger")) * 1_000);
            return new Settings(URI.create(given.get("--platform")), host,
                    Integer.parseInt(listen.substring(colon + 1)), Path.of(given.get("--data")), linger);
        }

        private static void holdLifeline() {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException error) {
                System.err.println("standard input: " + error.getMessage());
            }
            Runtime.getRuntime().halt(3);
        }
    }

    /** One call of a step, as the saga's headers name it. */
    record Call(String saga, String step, long round, long epoch, String op) {
        private static final Pattern KEY = Pattern.compile("(.+)/([0-9]{1,15})(/undo)?");
        private static final Pattern NUMBER = Pattern.compile("[0-9]{1,15}");

        /** Reads the headers; null if they do not belong together. */
        static Call of(Headers headers, String op) {
            String saga = one(headers, "Ieum-Saga-Id");
            String step = one(headers, "Ieum-Step");
            String epoch = one(headers, "Ieum-Epoch");
            Matcher key = KEY.matcher(one(headers, "Idempotency-Key"));
            if (!isId(saga) || !isId(step) || !NUMBER.matcher(epoch).matches() || !key.matches()) {
                return null;
            }
            String asked = key.group(3) == null ? "do" : "undo";
            if (!key.group(1).equals(saga + "/" + step) || !asked.equals(op)) {
                return null;
            }
            return new Call(saga, step, Long.parseLong(key.group(2)), Long.parseLong(epoch), op);
        }

        String key(String op) {
            return saga + "\n" + step + "\n" + round + "\n" + op;
        }
    }

    /** What a call is answered, and what it writes. */
    record Answer(int status, Map<String, Object> body, Map<String, Object> entry) {
        static Answer of(int status, Map<String, Object> body) {
            return new Answer(status, body, null);
        }

        /** A problem detail (RFC 9457). */
        static Answer problem(int status, String code, String title, String detail) {
            Map<String, Object> body = Json.object("title", title, "status", (long) status, "code", code);
            if (detail != null) {
                body.put("detail", detail);
            }
            return of(status, body);
        }

        boolean isSuccess() {
            return status >= 200 && status < 300;
        }

        /** True if the same call may not be answered otherwise later. */
        boolean isFinal() {
            return status != 408 && status != 425 && status != 429 && status < 500;
        }
    }

    /** The effect of a step, or of its undo, for which `done` is what the step was answered. */
    interface Effect {
        Answer run(Map<String, Object> order, Answer done);
    }

    /** The ledger file, and the barrier of docs/reference/participant.md over it. */
    static final class Ledger {
        private static final byte[] MAGIC = "IEUMDON1".getBytes(StandardCharsets.US_ASCII);
        private static final int HEAD = 8;
        private static final int MOST_PAYLOAD = 64 * 1024;
        /** Answers are kept for 30 days: far longer than a saga lives. */
        private static final long KEPT_MILLIS = Duration.ofDays(30).toMillis();

        private record Kept(Answer answer, long at) {}

        private record Seen(long epoch, long at) {}

        private final Path file;
        private final FileChannel owner;
        private final FileChannel log;
        private final Map<String, Kept> answers = new HashMap<>();
        private final Map<String, Seen> epochs = new HashMap<>();

        Ledger(Path folder) throws IOException {
            Files.createDirectories(folder);
            file = folder.resolve("donations.log");
            owner = FileChannel.open(folder.resolve("donations.lock"),
                    StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            // The kernel lets go of it with the process, however that ends.
            if (owner.tryLock() == null) {
                throw new IOException(file + " belongs to another process");
            }
            log = open(folder);
            scan(log, this::learn);
            forget();
        }

        /** Copies the whole records to a synced file that takes the place of the old one. */
        private FileChannel open(Path folder) throws IOException {
            Path copy = folder.resolve("donations.log.new");
            FileChannel fresh = FileChannel.open(copy, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                    StandardOpenOption.READ, StandardOpenOption.WRITE);
            write(fresh, ByteBuffer.wrap(MAGIC));
            if (Files.exists(file)) {
                try (FileChannel old = FileChannel.open(file, StandardOpenOption.READ)) {
                    long whole = scan(old, payload -> {});
                    refuseDamage(old, whole);
                    if (whole < old.size()) {
                        System.err.println("cut a torn record of " + (old.size() - whole) + " bytes off the ledger");
                    }
                    for (long at = MAGIC.length; at < whole; ) {
                        at += old.transferTo(at, whole - at, fresh);
                    }
                }
            }
            fresh.force(true);
            Files.move(copy, file, StandardCopyOption.ATOMIC_MOVE);
            try (FileChannel names = FileChannel.open(folder, StandardOpenOption.READ)) {
                names.force(true);
            }
            return fresh;
        }

        /** Reads records in order; answers where the last whole one ends. */
        private static long scan(FileChannel from, Consumer<String> each) throws IOException {
            ByteBuffer magic = ByteBuffer.allocate(MAGIC.length);
            if (from.read(magic, 0) < MAGIC.length) {
                return MAGIC.length;
            }
            if (!Arrays.equals(magic.array(), MAGIC)) {
                throw new IOException("the ledger does not begin with IEUMDON1");
            }
            long at = MAGIC.length;
            for (byte[] payload = recordAt(from, at); payload != null; payload = recordAt(from, at)) {
                each.accept(new String(payload, StandardCharsets.UTF_8));
                at += HEAD + payload.length;
            }
            return at;
        }

        /** The payload of the record that begins there; null if there is no whole one. */
        private static byte[] recordAt(FileChannel from, long at) throws IOException {
            ByteBuffer head = ByteBuffer.allocate(HEAD);
            if (from.read(head, at) < HEAD) {
                return null;
            }
            int length = head.getInt(0);
            if (length <= 0 || length > MOST_PAYLOAD || at + HEAD + length > from.size()) {
                return null;
            }
            ByteBuffer payload = ByteBuffer.allocate(length);
            while (payload.hasRemaining() && from.read(payload, at + HEAD + payload.position()) > 0) {}
            return head.getInt(4) == crc(length, payload.array()) ? payload.array() : null;
        }

        /** What follows the last whole record must be one torn record, and not records behind damage. */
        private static void refuseDamage(FileChannel old, long whole) throws IOException {
            long rest = old.size() - whole;
            boolean damaged = rest > HEAD + MOST_PAYLOAD;
            for (long at = whole + 1; !damaged && at < old.size(); at++) {
                damaged = recordAt(old, at) != null;
            }
            if (damaged) {
                throw new IOException("the ledger is damaged at byte " + whole + ", before records that are whole");
            }
        }

        private static int crc(int length, byte[] payload) {
            CRC32 crc = new CRC32();
            crc.update(ByteBuffer.allocate(4).putInt(0, length));
            crc.update(payload);
            return (int) crc.getValue();
        }

        private static void write(FileChannel to, ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                to.write(bytes);
            }
        }

        private void append(Map<String, Object> record) throws IOException {
            String text = Json.write(record);
            byte[] payload = text.getBytes(StandardCharsets.UTF_8);
            ByteBuffer bytes = ByteBuffer.allocate(HEAD + payload.length);
            bytes.putInt(payload.length).putInt(crc(payload.length, payload)).put(payload).flip();
            log.position(log.size());
            write(log, bytes);
            log.force(false);
            learn(text);
        }

        private void learn(String payload) {
            Map<String, Object> record = Json.asObject(Json.parse(payload));
            long at = (Long) record.get("at");
            Call call = new Call((String) record.get("saga"), (String) record.get("step"), (Long) record.get("round"),
                    (Long) record.get("epoch"), (String) record.get("op"));
            if (!call.op.equals("seen")) {
                int status = (int) (long) (Long) record.get("status");
                answers.put(call.key(call.op), new Kept(Answer.of(status, Json.asObject(record.get("body"))), at));
            }
            epochs.merge(call.saga, new Seen(call.epoch, at), (a, b) -> new Seen(Math.max(a.epoch, b.epoch), b.at));
        }

        /**
         * Answers `call`, running `effect` only if this is the call's first time and it may happen. The effect
         * and the answer are on the disk when this returns.
         */
        synchronized Answer participate(Call call, UnaryOperator<Answer> effect) throws IOException {
            Seen seen = epochs.get(call.saga);
            if (seen != null && seen.epoch > call.epoch) {
                return Answer.problem(409, "superseded", "A later owner of the saga has taken over", null);
            }
            Answer undone = stored(call, "undo");
            Answer done = stored(call, "do");
            boolean mayRun = undone == null && (call.op.equals("undo") || done == null);
            if (!mayRun) {
                if (seen == null || seen.epoch < call.epoch) {
                    append(recordOf(call, "seen", null));
                }
                boolean late = call.op.equals("do") && undone != null;
                Answer cancelled = Answer.problem(409, "cancelled", "The step was cancelled before this call", null);
                return late ? cancelled : call.op.equals("do") ? done : undone;
            }
            boolean nothing = call.op.equals("undo") && (done == null || !done.isSuccess());
            Answer answer = nothing ? Answer.of(200, Json.object("undone", false)) : effect.apply(done);
            boolean kept = call.op.equals("do") ? answer.isFinal() : answer.isSuccess();
            append(recordOf(call, kept ? call.op : "seen", kept ? answer : null));
            return answer;
        }

        private static Map<String, Object> recordOf(Call call, String op, Answer answer) {
            Map<String, Object> record = Json.object("op", op, "saga", call.saga, "step", call.step,
                    "round", call.round, "epoch", call.epoch, "at", System.currentTimeMillis());
            if (answer != null) {
                record.put("status", (long) answer.status);
                record.put("body", answer.body);
            }
            if (answer != null && answer.entry != null) {
                record.put("entry", answer.entry);
            }
            return record;
        }

        private Answer stored(Call call, String op) {
            Kept kept = answers.get(call.key(op));
            return kept == null ? null : kept.answer;
        }

        /** What the file says of an order: pledges less cancels, and how many entries. */
        synchronized long[] ofOrder(String orderId) throws IOException {
            long[] found = new long[2];
            scan(log, payload -> {
                Map<String, Object> record = Json.asObject(Json.parse(payload));
                if (record.get("entry") instanceof Map<?, ?> entry && orderId.equals(entry.get("orderId"))) {
                    found[0] += entry.get("kind").equals("pledge") ? 1 : -1;
                    found[1] += 1;
                }
            });
            return found;
        }

        /** Forgets answers that nobody can ask for any more. The records stay: they are the book. */
        synchronized void forget() {
            long before = System.currentTimeMillis() - KEPT_MILLIS;
            answers.values().removeIf(kept -> kept.at < before);
            epochs.values().removeIf(seen -> seen.at < before);
        }

        synchronized void close() throws IOException {
            log.close();
            owner.close();
        }
    }

    /** The HTTP interface, and the service's life. */
    static final class Service {
        private static final Map<String, String> METHODS = Map.of("/donations", "POST", "/donations/cancel", "POST",
                "/donations/{order}", "GET", "/health", "GET");

        private final Ledger ledger;
        private final Tracer tracer;
        private final HttpServer server;
        private final AtomicInteger running = new AtomicInteger();
        private volatile boolean stopping;

        static void start(Settings settings) throws IOException {
            Service service = new Service(settings);
            int port = service.server.getAddress().getPort();
            service.server.start();
            Registration registration = new Registration(settings.platform, settings.host, port);
            System.out.println(NAME + " listens on http://" + settings.host + ":" + port);
            thread("registration", registration::keep);
            thread("retention", () -> {
                while (pause(FORGET_PAUSE.toMillis())) {
                    service.ledger.forget();
                }
            });
            // SIGTERM and SIGINT run the hook. Its last words are the exit status: the JVM's would be 143.
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                service.stop(registration, settings.lingerMillis);
                Runtime.getRuntime().halt(0);
            }));
        }

        private Service(Settings settings) throws IOException {
            ledger = new Ledger(settings.data);
            tracer = new Tracer(settings.platform);
            server = HttpServer.create(new InetSocketAddress(settings.host, settings.port), 128);
            // A full queue makes the accepting thread work, and so accept less.
            server.setExecutor(new ThreadPoolExecutor(THREADS, THREADS, 1, TimeUnit.MINUTES,
                    new ArrayBlockingQueue<>(MOST_WAITING), new ThreadPoolExecutor.CallerRunsPolicy()));
            server.createContext("/", this::handle);
        }

        private void stop(Registration registration, long linger) {
            stopping = true;
            registration.leave();
            pause(linger);
            long deadline = System.nanoTime() + DRAIN.toNanos();
            while (running.get() > 0 && System.nanoTime() < deadline) {
                pause(10);
            }
            server.stop(0);
            long lost = tracer.flush(FLUSH);
            try {
                ledger.close();
            } catch (IOException error) {
                System.err.println("the ledger was not closed cleanly: " + error.getMessage());
            }
            System.err.println("stopped: " + running.get() + " requests abandoned, " + lost + " spans lost");
        }

        private void handle(HttpExchange exchange) throws IOException {
            running.incrementAndGet();
            String path = exchange.getRequestURI().getRawPath();
            String route = routeOf(path);
            Span span = tracer.span(exchange.getRequestMethod() + " " + route, Span.SERVER,
                    Span.parentOf(exchange.getRequestHeaders()));
            span.attributes.put("http.request.method", exchange.getRequestMethod());
            span.attributes.put("http.route", route);
            boolean failed = false;
            Answer answer;
            try {
                answer = answer(exchange, path, route, span);
            } catch (IOException error) {
                System.err.println("the ledger failed: " + error);
                failed = true;
                answer = Answer.problem(503, "ledger-failed", "The ledger failed; the service starts again", null);
            } catch (RuntimeException error) {
                System.err.println("a request failed: " + error);
                answer = Answer.problem(500, "internal", "The request failed here; the log says why", null);
            }
            try {
                send(exchange, route, answer);
            } finally {
                span.attributes.put("http.response.status_code", (long) answer.status);
                span.error = answer.status >= 500 ? String.valueOf(answer.status) : null;
                if (!route.equals("/health")) {
                    tracer.end(span);
                }
                running.decrementAndGet();
                if (failed) {
                    // Nobody knows what is on the disk. A new start reads it, and makes it durable first.
                    Runtime.getRuntime().halt(1);
                }
            }
        }

        /** The template that a path fits. */
        private static String routeOf(String path) {
            if (METHODS.containsKey(path)) {
                return path;
            }
            return path.matches("/donations/[^/]+") ? "/donations/{order}" : "{unmatched}";
        }

        private void send(HttpExchange exchange, String route, Answer answer) throws IOException {
            byte[] text = Json.write(answer.body).getBytes(StandardCharsets.UTF_8);
            Headers headers = exchange.getResponseHeaders();
            headers.set("Content-Type", answer.status >= 400 ? "application/problem+json" : "application/json");
            if (answer.status == 405) {
                headers.set("Allow", METHODS.get(route));
            }
            if (stopping) {
                headers.set("Connection", "close");
            }
            exchange.sendResponseHeaders(answer.status, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        }

        private Answer answer(HttpExchange exchange, String path, String route, Span span) throws IOException {
            if (!METHODS.containsKey(route)) {
                return Answer.problem(404, "not-found", "There is no such thing", null);
            }
            if (!METHODS.get(route).equals(exchange.getRequestMethod())) {
                String title = "Only " + METHODS.get(route) + " is allowed here";
                return Answer.problem(405, "method-not-allowed", title, null);
            }
            if (route.equals("/health")) {
                return health();
            }
            if (!one(exchange.getRequestHeaders(), "X-User-Id").isEmpty()) {
                return Answer.problem(403, "forbidden", "This is for services, not for users", null);
            }
            return switch (route) {
                case "/donations" -> participate(exchange, "do", Service::pledge, span);
                case "/donations/cancel" -> participate(exchange, "undo", Service::cancel, span);
                default -> ofOrder(URLDecoder.decode(path.substring("/donations/".length()), StandardCharsets.UTF_8));
            };
        }

        /** The step. Amounts are whole; one percent is rounded down. */
        private static Answer pledge(Map<String, Object> order, Answer none) {
            return written(201, "pledge", order.get("orderId"), (Long) order.get("amount") / 100);
        }

        /** Its undo: takes back what the same step of the same round pledged. */
        private static Answer cancel(Map<String, Object> order, Answer done) {
            return written(200, "cancel", done.body.get("orderId"), (Long) done.body.get("amount"));
        }

        private static Answer written(int status, String kind, Object orderId, long amount) {
            Map<String, Object> entry = Json.object("orderId", orderId, "kind", kind, "amount", amount);
            return new Answer(status, Json.object("orderId", orderId, "amount", amount), entry);
        }

        private Answer ofOrder(String orderId) throws IOException {
            long[] found = ledger.ofOrder(orderId);
            return Answer.of(200, Json.object("orderId", orderId, "live", found[0], "entries", found[1]));
        }

        private Answer health() {
            if (stopping) {
                Object check = Json.object("status", "failed", "error", "the service is stopping");
                return Answer.of(503, Json.object("status", "degraded", "checks", Json.object("accepting", check)));
            }
            Object check = Json.object("status", "ok");
            return Answer.of(200, Json.object("status", "healthy", "checks", Json.object("accepting", check)));
        }

        /** A call of a saga's step or of its undo. */
        private Answer participate(HttpExchange exchange, String op, Effect effect, Span span) throws IOException {
            Headers headers = exchange.getRequestHeaders();
            Call call = Call.of(headers, op);
            if (call == null) {
                return Answer.problem(400, "invalid-request", "A step is called with the headers of its saga",
                        "Ieum-Saga-Id, Ieum-Step, Ieum-Epoch, Idempotency-Key");
            }
            if (!one(headers, "Content-Type").toLowerCase().matches("application/json\\s*(;.*)?")) {
                return Answer.problem(415, "unsupported-media-type", "The body must be application/json", null);
            }
            byte[] body;
            try {
                body = exchange.getRequestBody().readNBytes(MOST_BODY + 1);
            } catch (IOException error) {
                return Answer.problem(408, "too-slow", "The body did not come", null);
            }
            if (body.length > MOST_BODY) {
                return Answer.problem(413, "too-large", "The body is larger than " + MOST_BODY + " bytes", null);
            }
            final Map<String, Object> order;
            try {
                order = orderOf(new String(body, StandardCharsets.UTF_8), op);
            } catch (IllegalArgumentException error) {
                return Answer.problem(400, "invalid-request", "The body makes no sense", error.getMessage());
            }
            span.attributes.put("ieum.saga.id", call.saga);
            span.attributes.put("order.id", (String) order.get("orderId"));
            Span inner = tracer.span("ledger " + op, Span.INTERNAL, span);
            try {
                return ledger.participate(call, done -> effect.run(order, done));
            } finally {
                tracer.end(inner);
            }
        }
    }

    /** The order that a call is about. */
    static Map<String, Object> orderOf(String body, String op) {
        Map<String, Object> order = Json.asObject(Json.parse(body));
        if (!(order.get("orderId") instanceof String id) || !isId(id)) {
            throw new IllegalArgumentException("orderId must be a text of 1 to " + LONGEST_ID + " bytes");
        }
        boolean isAmount = order.get("amount") instanceof Long amount && amount >= 0 && amount < 1L << 53;
        if (op.equals("do") && !isAmount) {
            throw new IllegalArgumentException("amount must be a whole number from 0");
        }
        return order;
    }

    static boolean isId(String text) {
        boolean isText = StandardCharsets.UTF_8.newEncoder().canEncode(text);
        return isText && !text.isEmpty() && text.getBytes(StandardCharsets.UTF_8).length <= LONGEST_ID;
    }

    /** The value of a header that is there exactly once; empty otherwise. */
    static String one(Headers headers, String name) {
        List<String> values = headers.getOrDefault(name, List.of());
        return values.size() == 1 && values.get(0) != null ? values.get(0).trim() : "";
    }

    static Thread thread(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    /** Waits; false if the thread is asked to end. */
    static boolean pause(long millis) {
        try {
            Thread.sleep(millis);
            return true;
        } catch (InterruptedException error) {
            return false;
        }
    }

    /** One request to the platform. */
    static final class Platform {
        private static final Duration LIMIT = Duration.ofSeconds(2);
        private final HttpClient http = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1).connectTimeout(LIMIT).build();
        private final URI platform;

        Platform(URI platform) {
            this.platform = platform;
        }

        /** The status of the answer; 0 if there was none. */
        int send(String method, String path, Object body) {
            HttpRequest.BodyPublisher content = body == null ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofString(Json.write(body));
            HttpRequest.Builder request = HttpRequest.newBuilder(platform.resolve(path)).timeout(LIMIT)
                    .header("Content-Type", "application/json").method(method, content);
            // Never an argument of this process, which everybody could read.
            String token = System.getenv("IEUM_TOKEN");
            if (token != null) {
                request.header("Authorization", "Bearer " + token);
            }
            try {
                return http.send(request.build(), HttpResponse.BodyHandlers.discarding()).statusCode();
            } catch (IOException error) {
                return 0;
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                return 0;
            }
        }
    }

    /** Being found: registered by Consul's API, kept registered, deregistered at the stop. */
    static final class Registration {
        /** The time between two looks whether the registry still knows us, or two attempts to register. */
        private static final long LOOK_MILLIS = 2_000;
        private final Platform platform;
        private final String id;
        private final Map<String, Object> service;
        private volatile boolean left;

        Registration(URI url, String host, int port) {
            platform = new Platform(url);
            // Made of name and address: an instance that died and came back replaces itself.
            id = NAME + "-" + host + "-" + port;
            Object check = Json.object("Name", "health of " + NAME, "HTTP", "http://" + host + ":" + port + "/health",
                    "Interval", "2s", "Timeout", "1s", "Status", "passing", "DeregisterCriticalServiceAfter", "10m");
            Object meta = Json.object("owner", "team-community", "language", "java");
            service = Json.object("ID", id, "Name", NAME, "Address", host, "Port", (long) port,
                    "Meta", meta, "Check", check);
        }

        void keep() {
            do {
                int known = platform.send("GET", "/v1/agent/service/" + id, null);
                if (known == 404 && !left) {
                    int status = platform.send("PUT", "/v1/agent/service/register", service);
                    System.err.println(status == 200 ? "registered as " + id : "not registered: " + status);
                } else if (known != 200) {
                    System.err.println("not registered yet: the registry does not answer");
                }
            } while (!left && pause(LOOK_MILLIS));
        }

        /** Leaves the registry; if it does not answer, our check will fail there. */
        void leave() {
            left = true;
            if (platform.send("PUT", "/v1/agent/service/deregister/" + id, null) != 200) {
                System.err.println("not deregistered: the registry does not answer");
            }
        }
    }

    /** A piece of work, and its place in a trace. */
    static final class Span {
        static final long INTERNAL = 1;
        static final long SERVER = 2;
        private static final Pattern TRACEPARENT =
                Pattern.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?");
        private static final SecureRandom RANDOM = new SecureRandom();

        final Map<String, Object> attributes = new LinkedHashMap<>();
        private final String traceId;
        private final String spanId;
        private String parent = "";
        private boolean sampled = true;
        private String name = "";
        private long kind = INTERNAL;
        private final long start = nanos();
        String error;

        private Span(String traceId, String spanId) {
            this.traceId = traceId;
            this.spanId = spanId;
        }

        /** Begins a span below `above`, or a new trace. */
        static Span below(Span above, String name, long kind) {
            Span span = new Span(above == null ? random(16) : above.traceId, random(8));
            span.parent = above == null ? "" : above.spanId;
            span.sampled = above == null || above.sampled;
            span.name = name;
            span.kind = kind;
            return span;
        }

        /** Reads `traceparent` by the book: one well-formed header counts, anything else begins a new trace. */
        static Span parentOf(Headers headers) {
            Matcher match = TRACEPARENT.matcher(one(headers, "traceparent"));
            boolean legal = match.matches() && !match.group(1).equals("ff")
                    && !(match.group(1).equals("00") && match.group(5) != null)
                    && !match.group(2).matches("0+") && !match.group(3).matches("0+");
            if (!legal) {
                return null;
            }
            Span parent = new Span(match.group(2), match.group(3));
            parent.sampled = (Integer.parseInt(match.group(4), 16) & 1) == 1;
            return parent;
        }

        /** The finished span in OTLP's JSON: ids in hex, 64-bit numbers as text. */
        private Map<String, Object> encoded() {
            Object status = error == null ? Json.object() : Json.object("code", 2L, "message", error);
            return Json.object("traceId", traceId, "spanId", spanId, "parentSpanId", parent, "name", name, "kind", kind,
                    "startTimeUnixNano", String.valueOf(start), "endTimeUnixNano", String.valueOf(nanos()),
                    "attributes", attributesOf(attributes), "status", status);
        }

        static List<Object> attributesOf(Map<String, Object> values) {
            List<Object> all = new ArrayList<>();
            values.forEach((key, of) -> all.add(Json.object("key", key, "value",
                    of instanceof Long ? Json.object("intValue", of.toString()) : Json.object("stringValue", of))));
            return all;
        }

        private static String random(int bytes) {
            byte[] id = new byte[bytes];
            RANDOM.nextBytes(id);
            return HexFormat.of().formatHex(id);
        }

        private static long nanos() {
            Instant now = Instant.now();
            return now.getEpochSecond() * 1_000_000_000L + now.getNano();
        }
    }

    /** Sends finished spans in batches, off the way of requests. What does not fit is dropped and counted. */
    static final class Tracer {
        private static final int MOST_SPANS = 2_048;
        private static final int BATCH = 512;
        private static final long PAUSE_MILLIS = 100;
        private final ArrayBlockingQueue<Object> waiting = new ArrayBlockingQueue<>(MOST_SPANS);
        private final AtomicLong unsent = new AtomicLong();
        private final AtomicLong dropped = new AtomicLong();
        private final Platform platform;

        Tracer(URI url) {
            platform = new Platform(url);
            thread("spans", this::send);
        }

        Span span(String name, long kind, Span parent) {
            return Span.below(parent, name, kind);
        }

        void end(Span span) {
            if (span.sampled) {
                boolean fits = waiting.offer(span.encoded());
                (fits ? unsent : dropped).incrementAndGet();
            }
        }

        /** Waits until everything is sent; answers how many spans are lost. */
        long flush(Duration limit) {
            long deadline = System.nanoTime() + limit.toNanos();
            while (unsent.get() > 0 && System.nanoTime() < deadline) {
                pause(10);
            }
            return dropped.get() + unsent.get();
        }

        private void send() {
            try {
                while (true) {
                    List<Object> batch = new ArrayList<>(List.of(waiting.take()));
                    pause(PAUSE_MILLIS);
                    waiting.drainTo(batch, BATCH - 1);
                    int status = post(batch);
                    while (status == 0 || status == 429 || status >= 500) {
                        pause(10 * PAUSE_MILLIS);
                        status = post(batch);
                    }
                    dropped.addAndGet(status == 200 ? 0 : batch.size());
                    unsent.addAndGet(-batch.size());
                }
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }

        private int post(List<Object> spans) {
            Object scope = Json.object("scope", Json.object("name", "ieum-example"), "spans", spans);
            Object resource = Json.object("attributes", Span.attributesOf(Json.object("service.name", NAME)));
            Object all = Json.object("resource", resource, "scopeSpans", List.of(scope));
            return platform.send("POST", "/v1/traces", Json.object("resourceSpans", List.of(all)));
        }
    }

    /** As much of JSON as is needed: objects, arrays, texts, whole numbers, true, false, null. */
    static final class Json {
        private static final int DEEPEST = 32;
        private static final Pattern NUMBER = Pattern.compile("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?");
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Map<String, Object> object(Object... pairs) {
            Map<String, Object> object = new LinkedHashMap<>();
            for (int i = 0; i < pairs.length; i += 2) {
                object.put((String) pairs[i], pairs[i + 1]);
            }
            return object;
        }

        @SuppressWarnings("unchecked")
        static Map<String, Object> asObject(Object value) {
            if (value instanceof Map<?, ?> map) {
                return (Map<String, Object>) map;
            }
            throw new IllegalArgumentException("it must be an object");
        }

        static Object parse(String text) {
            Json json = new Json(text);
            Object value = json.value(0);
            json.blanks();
            if (json.at < text.length()) {
                throw json.wrong();
            }
            return value;
        }

        private Object value(int depth) {
            blanks();
            if (depth > DEEPEST || at == text.length()) {
                throw wrong();
            }
            return switch (text.charAt(at)) {
                case '{' -> members(depth);
                case '[' -> elements(depth);
                case '"' -> string();
                case 't' -> word("true", true);
                case 'f' -> word("false", false);
                case 'n' -> word("null", null);
                default -> number();
            };
        }

        private Map<String, Object> members(int depth) {
            Map<String, Object> object = new LinkedHashMap<>();
            at++;
            for (boolean first = true; !closes('}'); first = false) {
                separate(first);
                String name = string();
                blanks();
                expect(':');
                object.put(name, value(depth + 1));
            }
            return object;
        }

        private List<Object> elements(int depth) {
            List<Object> array = new ArrayList<>();
            at++;
            for (boolean first = true; !closes(']'); first = false) {
                separate(first);
                array.add(value(depth + 1));
            }
            return array;
        }

        private boolean closes(char end) {
            blanks();
            boolean closes = at < text.length() && text.charAt(at) == end;
            at += closes ? 1 : 0;
            return closes;
        }

        private void separate(boolean first) {
            if (!first) {
                expect(',');
                blanks();
            }
        }

        private String string() {
            expect('"');
            StringBuilder string = new StringBuilder();
            while (at < text.length() && text.charAt(at) != '"') {
                char c = text.charAt(at++);
                if (c < ' ') {
                    throw wrong();
                }
                string.append(c == '\\' ? escaped() : c);
            }
            expect('"');
            return string.toString();
        }

        private char escaped() {
            char c = at < text.length() ? text.charAt(at++) : ' ';
            if (c == 'u' && at + 4 <= text.length() && text.substring(at, at + 4).matches("[0-9a-fA-F]{4}")) {
                at += 4;
                return (char) Integer.parseInt(text.substring(at - 4, at), 16);
            }
            int known = "\"\\/bfnrt".indexOf(c);
            if (known < 0) {
                throw wrong();
            }
            return "\"\\/\b\f\n\r\t".charAt(known);
        }

        private Object number() {
            Matcher match = NUMBER.matcher(text).region(at, text.length());
            if (!match.lookingAt()) {
                throw wrong();
            }
            at = match.end();
            boolean whole = match.group(2) == null && match.group(3) == null && match.group().length() <= 18;
            return whole ? (Object) Long.valueOf(match.group()) : Double.valueOf(match.group());
        }

        private Object word(String word, Object meaning) {
            if (!text.startsWith(word, at)) {
                throw wrong();
            }
            at += word.length();
            return meaning;
        }

        private void expect(char c) {
            if (at == text.length() || text.charAt(at) != c) {
                throw wrong();
            }
            at++;
        }

        private void blanks() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private IllegalArgumentException wrong() {
            return new IllegalArgumentException("not JSON, at character " + at);
        }

        static String write(Object value) {
            StringBuilder out = new StringBuilder();
            write(value, out);
            return out.toString();
        }

        private static void write(Object value, StringBuilder out) {
            String before = "";
            if (value instanceof Map<?, ?> object) {
                out.append('{');
                for (Map.Entry<?, ?> member : object.entrySet()) {
                    quote((String) member.getKey(), out.append(before));
                    write(member.getValue(), out.append(':'));
                    before = ",";
                }
                out.append('}');
            } else if (value instanceof List<?> array) {
                out.append('[');
                for (Object element : array) {
                    write(element, out.append(before));
                    before = ",";
                }
                out.append(']');
            } else if (value instanceof String string) {
                quote(string, out);
            } else {
                out.append(value);
            }
        }

        private static void quote(String string, StringBuilder out) {
            out.append('"');
            for (char c : string.toCharArray()) {
                if (c == '"' || c == '\\') {
                    out.append('\\').append(c);
                } else if (c < ' ') {
                    out.append(String.format("\\u%04x", (int) c));
                } else {
                    out.append(c);
                }
            }
            out.append('"');
        }
    }
}

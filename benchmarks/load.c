/*
 * A closed-loop HTTP/1.1 client: every connection sends its next request as soon as it has the whole answer to
 * its last one and has checked it.
 *
 * Usage: load PORT CONNECTIONS WARMUP_SECONDS SECONDS REQUESTS_FILE
 *
 * REQUESTS_FILE holds blocks "<request bytes> <expected bytes>\n<request><expected>"; an answer is right when its
 * status is 200 and its body contains the expected text. The requests are sent in turn, over all connections.
 *
 * Prints "measuring" when the warm-up is over and "measured" at the end, so that whoever watches the server can
 * read its CPU time at the same moments, then one line of JSON. Everything is on 127.0.0.1 and ends by itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, BUFFER_BYTES = 1 << 16, MAX_FAILURES = 1000 };

struct request {
    char *bytes, *expected;
    size_t length, expected_length;
};

struct connection {
    int fd;
    struct request *request;
    size_t sent;
    char *buffer;
    size_t filled, capacity;
    int awaits_room; /* the kernel's buffer was full: EPOLLOUT is on */
    uint64_t started;
    uint64_t answers;
};

static struct request *requests;
static size_t request_count, next_request;
static struct connection *connections;
static int connection_count, port, poller;
static uint32_t *latencies; /* units of 0.1 microseconds */
static size_t latency_count, latency_capacity;
static int measuring;
static uint64_t wrong_status, wrong_answer, broken, reconnects, failures;
static char first_error[256];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grow(void *memory, size_t bytes) {
    void *grown = realloc(memory, bytes);
    if (!grown) die("memory");
    return grown;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    size_t length, expected;
    while (fscanf(file, "%zu %zu", &length, &expected) == 2 && fgetc(file) == '\n') {
        requests = grow(requests, (request_count + 1) * sizeof *requests);
        struct request *request = &requests[request_count++];
        request->length = length;
        request->expected_length = expected;
        request->bytes = grow(NULL, length + 1);
        request->expected = grow(NULL, expected + 1);
        if (fread(request->bytes, 1, length, file) != length) die("requests");
        if (fread(request->expected, 1, expected, file) != expected) die("requests");
    }
    fclose(file);
    if (!request_count) die("no requests");
}

static void note_error(uint64_t *counter, const char *text, size_t length) {
    if (measuring) (*counter)++;
    if (first_error[0]) return;
    size_t kept = length < sizeof first_error - 1 ? length : sizeof first_error - 1;
    for (size_t i = 0; i < kept; i++) {
        char c = text[i];
        first_error[i] = (c < ' ' || c == '"' || c == '\\' || c > '~') ? ' ' : c;
    }
}

static void send_rest(struct connection *c);
static void send_next(struct connection *c);

/* Connect without waiting: a server whose backlog is full must not hold up the other connections. */
static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) die("connect");
    c->awaits_room = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static void reopen(struct connection *c) {
    close(c->fd);
    if (measuring) reconnects++;
    open_connection(c);
    send_next(c);
}

static void fail(struct connection *c, const char *why) {
    if (++failures > MAX_FAILURES) die("too many broken connections");
    note_error(&broken, why, strlen(why));
    reopen(c);
}

static void send_next(struct connection *c) {
    c->request = &requests[next_request];
    next_request = (next_request + 1) % request_count;
    c->sent = c->filled = 0;
    c->started = now();
    send_rest(c);
}

static void send_rest(struct connection *c) {
    while (c->sent < c->request->length) {
        ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return; /* the server closed: the read that follows reports it */
        if (n > 0) c->sent += (size_t)n;
        if (n <= 0) break;
    }
    int partial = c->sent < c->request->length;
    if (partial == c->awaits_room) return;
    struct epoll_event event = {.events = partial ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->awaits_room = partial;
}

/* Return where the value of a header starts, or NULL; `head` ends with a NUL. */
static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    if (!found) return NULL;
    found += strlen(name);
    while (*found == ' ') found++;
    return found;
}

/* Return how many bytes a chunked body takes, 0 while it is incomplete. */
static size_t chunked_length(const char *body, size_t available) {
    size_t at = 0;
    for (;;) {
        const char *end = memmem(body + at, available - at, "\r\n", 2);
        if (!end) return 0;
        size_t size = strtoul(body + at, NULL, 16);
        at = (size_t)(end - body) + 2 + size + 2;
        if (at > available) return 0;
        if (!size) return at;
    }
}

/* Return the length of the whole answer, 0 while it is incomplete, -1 when its framing makes no sense. */
static ssize_t answer_length(struct connection *c, size_t head) {
    const char *length = header(c->buffer, "\r\ncontent-length:");
    if (length) {
        size_t total = head + strtoul(length, NULL, 10);
        return c->filled >= total ? (ssize_t)total : 0;
    }
    if (!header(c->buffer, "\r\ntransfer-encoding: chunked")) return -1;
    size_t body = chunked_length(c->buffer + head, c->filled - head);
    return body ? (ssize_t)(head + body) : 0;
}

static void record(struct connection *c) {
    if (!measuring) return;
    if (latency_count == latency_capacity) {
        latency_capacity = latency_capacity ? latency_capacity * 2 : 1 << 16;
        latencies = grow(latencies, latency_capacity * sizeof *latencies);
    }
    latencies[latency_count++] = (uint32_t)((now() - c->started) / 100);
    c->answers++;
}

static void check(struct connection *c, size_t head, size_t total) {
    const char *body = c->buffer + head;
    if (strncmp(c->buffer + 8, " 200", 4)) note_error(&wrong_status, c->buffer, total);
    else if (!memmem(body, total - head, c->request->expected, c->request->expected_length))
        note_error(&wrong_answer, body, total - head);
    else record(c);
}

/* Handle what has arrived; the head is NUL-terminated for the look-ups and restored. */
static void parse(struct connection *c) {
    char *end = memmem(c->buffer, c->filled, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = (size_t)(end - c->buffer) + 4;
    end[2] = 0;
    ssize_t total = answer_length(c, head);
    int closing = header(c->buffer, "\r\nconnection: close") != NULL;
    end[2] = '\r';
    if (total < 0) return fail(c, "an answer without a length");
    if (!total) return;
    check(c, head, (size_t)total);
    if (closing) reopen(c);
    else send_next(c);
}

static void receive(struct connection *c) {
    if (c->filled + BUFFER_BYTES > c->capacity) {
        c->capacity = c->filled + 2 * BUFFER_BYTES;
        c->buffer = grow(c->buffer, c->capacity + 1);
    }
    ssize_t n = recv(c->fd, c->buffer + c->filled, c->capacity - c->filled, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return fail(c, strerror(errno));
    if (n == 0) return fail(c, "the server closed the connection");
    c->filled += (size_t)n;
    parse(c);
}

static void run_until(uint64_t end) {
    struct epoll_event events[MAX_EVENTS];
    for (uint64_t time = now(); time < end; time = now()) {
        int n = epoll_wait(poller, events, MAX_EVENTS, (int)((end - time) / 1000000) + 1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(c);
        }
    }
}

static void say(const char *word) {
    puts(word);
    fflush(stdout);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double milliseconds(double share) {
    if (!latency_count) return 0;
    size_t at = (size_t)(share * (double)latency_count);
    return latencies[at < latency_count ? at : latency_count - 1] / 10000.0;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(double seconds, double cpu) {
    uint64_t least = UINT64_MAX, most = 0;
    int starved = 0;
    for (int i = 0; i < connection_count; i++) {
        if (!connections[i].answers) starved++;
        if (connections[i].answers < least) least = connections[i].answers;
        if (connections[i].answers > most) most = connections[i].answers;
    }
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f, "
           "\"wrong_status\": %lu, \"wrong_answer\": %lu, \"broken\": %lu, \"reconnects\": %lu, "
           "\"least_per_connection\": %lu, \"most_per_connection\": %lu, \"starved\": %d, \"client_cpu\": %.3f, "
           "\"first_error\": \"%s\"}\n",
           latency_count, seconds, milliseconds(0.50), milliseconds(0.99), milliseconds(1), wrong_status, wrong_answer,
           broken, reconnects, least, most, starved, cpu / seconds, first_error);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT CONNECTIONS WARMUP_SECONDS SECONDS REQUESTS_FILE\n");
        return 2;
    }
    port = atoi(argv[1]);
    connection_count = atoi(argv[2]);
    double warmup = atof(argv[3]), seconds = atof(argv[4]);
    read_requests(argv[5]);
    poller = epoll_create1(0);
    connections = calloc((size_t)connection_count, sizeof *connections);
    if (!connections) die("memory");
    for (int i = 0; i < connection_count; i++) open_connection(&connections[i]);
    for (int i = 0; i < connection_count; i++) send_next(&connections[i]);
    run_until(now() + (uint64_t)(warmup * 1e9));
    say("measuring");
    measuring = 1;
    uint64_t start = now();
    double cpu = cpu_seconds();
    run_until(start + (uint64_t)(seconds * 1e9));
    double took = (double)(now() - start) / 1e9;
    cpu = cpu_seconds() - cpu;
    say("measured");
    report(took, cpu);
    return 0;
}

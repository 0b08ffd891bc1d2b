/* What `bench preloaded` starts: see bench/src/bin/bench/preloaded.rs. */
#include <einhorn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static uint32_t *records;
static size_t count;

static const char *variable(const char *name) {
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "%s is not set\n", name);
        exit(1);
    }
    return value;
}

static void load(void) {
    double seconds = atof(variable("BENCH_LOAD_SECONDS"));
    count = strtoul(variable("BENCH_LOAD_BYTES"), NULL, 10) / sizeof *records;
    records = malloc(count * sizeof *records);
    if (!records)
        abort();
    uint32_t state = 1;
    do {
        for (size_t n = 0; n < count; n++)
            records[n] = state = state * 1664525 + 1013904223;
    } while ((double)clock() / CLOCKS_PER_SEC < seconds);
}

/* Every record is looked at. */
static void use(void) {
    volatile uint32_t sum = 0;
    for (size_t n = 0; n < count; n++)
        sum += records[n];
}

static void done(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, variable("BENCH_DONE_PATH"), sizeof address.sun_path - 1);
    if (peer < 0 || connect(peer, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("BENCH_DONE_PATH");
        exit(1);
    }
    close(peer);
}

int main(void) {
    load();
    int failed = einhorn_become_worker();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (!failed)
        failed = einhorn_ack();
    if (failed) {
        fprintf(stderr, "%s\n", einhorn_strerror(failed));
        return 1;
    }
    done();
    for (int signal; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) {
        use();
        done();
    }
    return 0;
}

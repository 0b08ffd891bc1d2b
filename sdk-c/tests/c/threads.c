/* Every call from many threads at once, each with its own latest error. */
#define _POSIX_C_SOURCE 200809L
#include <einhorn.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define ROUNDS 500

static void *call_all(void *argument) {
    int n = *(int *)argument;
    char expected[64];
    int round;
    snprintf(expected, sizeof expected, "there is no socket %d:", n);
    for (round = 0; round < ROUNDS; round++) {
        if (einhorn_socket_fd(n) != EINHORN_E_NO_SUCH_SOCKET ||
            strncmp(einhorn_strerror(EINHORN_E_NO_SUCH_SOCKET), expected, strlen(expected)) != 0 ||
            einhorn_socket_count() != 2 || einhorn_graceful_shutdown_fd() < 0 ||
            einhorn_ack() != EINHORN_E_UNREACHABLE || einhorn_ping("x") != EINHORN_E_UNREACHABLE) {
            return argument;
        }
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int i, failures = 0;
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i + 2;
        if (pthread_create(&threads[i], NULL, call_all, &numbers[i]) != 0) {
            return 2;
        }
    }
    for (i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        failures += failed != NULL;
    }
    if (failures > 0) {
        printf("%d threads saw something else: %s\n", failures, einhorn_strerror(-3));
    }
    return failures;
}

/* What the library says where there is no master. Valid C99 and C++11. */
#include <einhorn.h>

#include <stdio.h>
#include <string.h>

static int failures = 0;

static void check(const char *what, int got, int expected) {
    if (got != expected) {
        printf("%s: %d, not %d: %s\n", what, got, expected, einhorn_strerror(got));
        failures++;
    }
}

static void check_text(int error, const char *expected) {
    if (strcmp(einhorn_strerror(error), expected) != 0) {
        printf("strerror(%d): %s\n", error, einhorn_strerror(error));
        failures++;
    }
}

int main(void) {
    const char not_utf8[] = {(char)0xff, 0};

    check_text(0, "no error");
    check_text(EINHORN_E_NOT_WORKER, "this process is not a worker of an einhorn master");
    check_text(EINHORN_E_INTERNAL, "a fault of the einhorn library");
    check_text(-77, "unknown error");
    check_text(77, "unknown error");
    check_text((-2147483647 - 1), "unknown error");

    check("abi_version", (int)einhorn_abi_version(), EINHORN_ABI_VERSION);
    check("become_worker", einhorn_become_worker(), 0);
    check("is_worker", einhorn_is_worker(), false);
    check("socket_count", einhorn_socket_count(), 0);
    check("child_index", einhorn_child_index(), EINHORN_E_NOT_WORKER);
    check("socket_fd(0)", einhorn_socket_fd(0), EINHORN_E_ENVIRONMENT);
    check_text(EINHORN_E_ENVIRONMENT,
               "EINHORN_FD_COUNT is not set, which every einhorn master does");
    check("socket_fd(-1)", einhorn_socket_fd(-1), EINHORN_E_NO_SUCH_SOCKET);
    check("ping(NULL)", einhorn_ping(NULL), EINHORN_E_INVALID_ARGUMENT);
    check("ping(not UTF-8)", einhorn_ping(not_utf8), EINHORN_E_INVALID_ARGUMENT);
    check("ping", einhorn_ping("1"), EINHORN_E_NOT_WORKER);
    check("ack", einhorn_ack(), EINHORN_E_NOT_WORKER);
    check_text(EINHORN_E_NOT_WORKER,
               "not a worker: EINHORN_MASTER_PID is not set (no einhorn master started this "
               "program)");
    check("graceful_shutdown_fd twice", einhorn_graceful_shutdown_fd(),
          einhorn_graceful_shutdown_fd());

    return failures == 0 ? 0 : 1;
}

/* Signals: SIGPIPE is never raised, blocking calls are interrupted, a forked child dies of
 * SIGUSR2 as by default until it registers itself. Run as a worker of the test. */
#define _POSIX_C_SOURCE 200809L
#include <einhorn.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect(int holds, const char *what) {
    if (!holds) {
        printf("not so: %s (errno: %s)\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
}

static int readable(int fd) {
    struct pollfd entry;
    entry.fd = fd;
    entry.events = POLLIN;
    entry.revents = 0;
    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0;
}

static void a_closed_peer_is_an_error_and_no_signal(void) {
    int ends[2];
    char number[16];
    signal(SIGPIPE, SIG_DFL);
    expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair works");
    close(ends[1]);
    snprintf(number, sizeof number, "%d", ends[0]);
    setenv("EINHORN_SOCK_FD", number, 1);
    setenv("EINHORN_SOCK_PATH", "/nonexistent/einhorn.sock", 1);
    expect(einhorn_ack() == EINHORN_E_UNREACHABLE, "an ack to nobody fails");
    expect(fcntl(ends[0], F_GETFD) != -1, "the descriptor stays open");
}

/* The status of a child that runs `body` and, where that returns, exits with 0. */
static int status_of(void (*body)(void)) {
    int status = -1;
    pid_t child = fork();
    expect(child != -1, "fork works");
    if (child == 0) {
        body();
        _exit(0);
    }
    while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
    }
    return status;
}

static void raise_at_once(void) { raise(SIGUSR2); }

static void register_and_raise(void) {
    int fd = einhorn_graceful_shutdown_fd();
    expect(fd >= 0 && !readable(fd), "a child starts without a request");
    raise(SIGUSR2);
    expect(readable(fd), "a child that registered is asked");
}

static void a_child_is_on_its_own(int fd) {
    int status = status_of(raise_at_once);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2, "the default kills a child");
    status = status_of(register_and_raise);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child may register itself");
    expect(!readable(fd), "a child's signal is not its parent's");
}

static void a_blocking_call_is_interrupted(int fd) {
    int ends[2];
    char byte;
    pid_t parent = getpid(), child;
    expect(pipe(ends) == 0, "pipe works");
    child = fork();
    expect(child != -1, "fork works");
    if (child == 0) {
        /* Again and again: the first may come before the parent reads. */
        while (kill(parent, SIGUSR2) == 0) {
            poll(NULL, 0, 10);
        }
        _exit(0);
    }
    expect(read(ends[0], &byte, 1) == -1 && errno == EINTR, "read fails with EINTR");
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) == -1 && errno == EINTR) {
    }
    expect(readable(fd) && readable(fd), "the descriptor stays readable");
    expect(einhorn_graceful_shutdown_fd() == fd, "it is the same at every call");
}

int main(void) {
    int fd;
    a_closed_peer_is_an_error_and_no_signal();
    fd = einhorn_graceful_shutdown_fd();
    expect(fd >= 0 && !readable(fd), "nobody has asked yet");
    expect((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "it is close-on-exec");
    a_child_is_on_its_own(fd);
    a_blocking_call_is_interrupted(fd);
    return 0;
}

/* A server made for socket activation: it reads LISTEN_FDS as sd_listen_fds(3) does, and ends by
 * SIGTERM once it has answered whom it has accepted. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 3 };

static volatile sig_atomic_t stopping;

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static int inherited(void) {
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != getpid()) {
        return 0;
    }
    return (int)strtol(count, NULL, 10);
}

static void answer(int client) {
    char head[4096];
    size_t length = 0;
    while (length < sizeof head - 1) {
        ssize_t got = read(client, head + length, sizeof head - 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return;
        }
        length += (size_t)got;
        head[length] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL) {
            break;
        }
    }
    char body[64];
    char text[256];
    int body_length = snprintf(body, sizeof body, "hello from %ld\n", (long)getpid());
    int text_length = snprintf(text, sizeof text,
                               "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                               "Content-Length: %d\r\n\r\n%s",
                               body_length, body);
    if (write(client, text, (size_t)text_length) < 0) {
        perror("write");
    }
}

int main(void) {
    if (inherited() < 1) {
        fprintf(stderr, "no sockets for this process (LISTEN_FDS, LISTEN_PID)\n");
        return 1;
    }
    sigset_t term;
    sigset_t none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    /* Taken only while it waits, so that none comes between the look and the wait. */
    sigprocmask(SIG_BLOCK, &term, NULL);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);

    fcntl(FIRST, F_SETFL, fcntl(FIRST, F_GETFL) | O_NONBLOCK);
    while (!stopping) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(FIRST, &ready);
        if (pselect(FIRST + 1, &ready, NULL, NULL, NULL, &none) < 0) {
            continue;
        }
        /* Others have the socket too, and one of them may have been quicker. */
        int client = accept(FIRST, NULL, NULL);
        if (client >= 0) {
            answer(client);
            close(client);
        }
    }
    return 0;
}

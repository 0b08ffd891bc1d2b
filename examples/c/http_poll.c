/* A worker in C: HTTP/1.1 with keep-alive on one poll loop, no threads, no runtime.
 *
 *     cc -std=c99 -o http_poll http_poll.c $(pkg-config --cflags --libs einhorn)
 *     einhorn -b 127.0.0.1:7000 -n 2 -m manual ./http_poll
 *
 * When the master asks it to stop, it accepts no more, answers each connection's next request
 * with "Connection: close", and exits when the last one is closed, or idle for too long. */
#define _POSIX_C_SOURCE 200809L
#include <einhorn.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1000, REQUEST_BYTES_MAX = 8192, DRAIN_MS_MAX = 30000 };

struct connection {
    size_t length;
    char request[REQUEST_BYTES_MAX];
};

/* Slots 0 and 1 are the request to stop and the listener; the rest are connections. */
enum { STOP, LISTENER, FIRST };
static struct pollfd ready[FIRST + CONNECTIONS_MAX];
static struct connection *connections[FIRST + CONNECTIONS_MAX];
static nfds_t slots = FIRST;
static int stopping = 0;

static int checked(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, einhorn_strerror(result));
        exit(1);
    }
    return result;
}

static void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void accept_one(void) {
    int fd = accept(ready[LISTENER].fd, NULL, NULL);
    if (fd == -1) {
        return; /* EAGAIN is normal: another worker was quicker. */
    }
    struct connection *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        close(fd);
        return;
    }
    set_nonblocking(fd);
    ready[slots].fd = fd;
    ready[slots].events = POLLIN;
    ready[slots].revents = 0;
    connections[slots++] = fresh;
}

static void drop(nfds_t slot) {
    close(ready[slot].fd);
    free(connections[slot]);
    ready[slot] = ready[--slots];
    connections[slot] = connections[slots];
}

/* Whether the client said that this request is its last; `end` is the end of its head. */
static int is_last(const char *head, const char *end) {
    static const char line[] = "\r\nConnection: close\r\n";
    for (; head + sizeof line - 1 <= end + 2; head++) {
        if (strncasecmp(head, line, sizeof line - 1) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Answers every whole request that has arrived. Returns 0 when the connection is done. */
static int answer(int fd, struct connection *c) {
    char *end;
    while ((end = strstr(c->request, "\r\n\r\n")) != NULL) {
        int last = stopping || is_last(c->request, end);
        char body[64], response[256];
        int length = snprintf(body, sizeof body, "hello from %ld\n", (long)getpid());
        length = snprintf(response, sizeof response,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                          "Connection: %s\r\n\r\n%s",
                          length, last ? "close" : "keep-alive", body);
        /* So short an answer fits into the socket's buffer; a client that does not read is
         * cut off. */
        if (send(fd, response, (size_t)length, MSG_NOSIGNAL) != length || last) {
            return 0;
        }
        size_t used = (size_t)(end + 4 - c->request);
        memmove(c->request, c->request + used, c->length - used + 1);
        c->length -= used;
    }
    return c->length < REQUEST_BYTES_MAX - 1;
}

/* Returns 0 when the connection is done. */
static int serve(nfds_t slot) {
    struct connection *c = connections[slot];
    ssize_t got =
        recv(ready[slot].fd, c->request + c->length, REQUEST_BYTES_MAX - 1 - c->length, 0);
    if (got <= 0) {
        return got == -1 && (errno == EAGAIN || errno == EINTR);
    }
    c->length += (size_t)got;
    c->request[c->length] = '\0';
    return answer(ready[slot].fd, c);
}

static void stop_accepting(void) {
    stopping = 1;
    ready[STOP].fd = -1; /* poll() leaves negative ones out */
    close(ready[LISTENER].fd);
    ready[LISTENER].fd = -1;
}

int main(void) {
    ready[LISTENER].fd = checked(einhorn_socket_fd(0), "no socket");
    ready[STOP].fd = checked(einhorn_graceful_shutdown_fd(), "no signal");
    ready[STOP].events = ready[LISTENER].events = POLLIN;
    set_nonblocking(ready[LISTENER].fd);
    if (einhorn_is_worker()) {
        checked(einhorn_ack(), "no acknowledgement");
    }

    while (!stopping || slots > FIRST) {
        ready[LISTENER].events = slots < FIRST + CONNECTIONS_MAX ? POLLIN : 0;
        int count = poll(ready, slots, stopping ? DRAIN_MS_MAX : -1);
        if (count == 0) {
            break; /* whoever is left has been silent for all that time */
        }
        if (count == -1) {
            if (errno == EINTR) {
                continue;
            }
            perror("poll");
            return 1;
        }
        /* From the end, since drop() fills the gap with the last one. */
        for (nfds_t slot = slots; slot-- > FIRST;) {
            if (ready[slot].revents != 0 && !serve(slot)) {
                drop(slot);
            }
        }
        if (ready[STOP].revents != 0) {
            stop_accepting();
        } else if (ready[LISTENER].revents != 0) {
            accept_one();
        }
    }
    return 0;
}

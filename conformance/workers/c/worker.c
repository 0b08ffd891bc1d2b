/* The conformance suite's worker; ../README.md tells what its words mean. */
#define _POSIX_C_SOURCE 200809L
#include <einhorn.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *format, ...) {
    char line[4096];
    int length = snprintf(line, sizeof line, "%ld ", (long)getpid());
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) {
        length = (int)sizeof line - 2;
    }
    line[length++] = '\n';
    if (write(1, line, (size_t)length) != length) {
        exit(1);
    }
}

static void say_outcome(const char *word, int result) {
    if (result < 0) {
        say("%s error %s", word, einhorn_strerror(result));
    } else {
        say("%s ok", word);
    }
}

static void facts(void) {
    int index = einhorn_child_index();
    char text[16] = "none";
    if (index >= 0) {
        snprintf(text, sizeof text, "%d", index);
    }
    say("facts worker=%s index=%s sockets=%d", einhorn_is_worker() ? "yes" : "no", text,
        einhorn_socket_count());
}

static void where(const char *word, int n) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int fd = einhorn_socket_fd(n), copy;
    if (fd < 0) {
        say_outcome(word, fd);
        return;
    }
    close(dup(fd));
    copy = dup(fd);
    memset(&address, 0, sizeof address);
    getsockname(copy, (struct sockaddr *)&address, &length);
    if (address.ss_family == AF_UNIX) {
        say("%s unix", word);
    } else if (address.ss_family == AF_INET) {
        say("%s inet %d", word, ntohs(((struct sockaddr_in *)&address)->sin_port));
    } else {
        say("%s inet6 %d", word, ntohs(((struct sockaddr_in6 *)&address)->sin6_port));
    }
    close(copy);
}

static void read_line(int fd, char *line, size_t size) {
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = read(fd, line + length, 1);
        if (got == -1 && errno == EINTR) {
            continue; /* the request to stop interrupts what blocks */
        }
        if (got != 1 || line[length] == '\n') {
            break;
        }
        length++;
    }
    line[length] = '\0';
}

static void answer(int fd) {
    char line[100];
    read_line(fd, line, sizeof line);
    if (strcmp(line, "slow") == 0) {
        send(fd, "begun\n", 6, MSG_NOSIGNAL);
        read_line(fd, line, sizeof line);
    }
    snprintf(line, sizeof line, "%ld\n", (long)getpid());
    send(fd, line, strlen(line), MSG_NOSIGNAL);
    close(fd);
}

static void serve(void) {
    struct pollfd ready[2];
    ready[0].fd = einhorn_graceful_shutdown_fd();
    ready[1].fd = einhorn_socket_fd(0);
    ready[0].events = ready[1].events = POLLIN;
    fcntl(ready[1].fd, F_SETFL, fcntl(ready[1].fd, F_GETFL) | O_NONBLOCK);
    for (;;) {
        int fd;
        if (poll(ready, 2, -1) < 0) {
            continue;
        }
        if (ready[0].revents != 0) {
            break;
        }
        fd = accept(ready[1].fd, NULL, NULL);
        if (fd >= 0) {
            answer(fd);
        }
    }
    say("serve ended");
}

static void wait_until_asked(void) {
    struct pollfd ready;
    ready.fd = einhorn_graceful_shutdown_fd();
    ready.events = POLLIN;
    while (poll(&ready, 1, -1) < 1) {
    }
    say("wait ended");
}

int main(int argc, char **argv) {
    char line[100];
    int i;
    for (i = 1; i < argc; i++) {
        char *word = argv[i], *colon = strchr(word, ':');
        const char *argument = colon == NULL ? "" : colon + 1;
        size_t length = colon == NULL ? strlen(word) : (size_t)(colon - word);
#define IS(name) (length == strlen(name) && strncmp(word, name, length) == 0)
        if (IS("facts")) {
            facts();
        } else if (IS("fd")) {
            int fd = einhorn_socket_fd(atoi(argument));
            if (fd < 0) {
                say_outcome(word, fd);
            } else {
                say("%s ok %d", word, fd);
            }
        } else if (IS("listener")) {
            where(word, atoi(argument));
        } else if (IS("stop")) {
            einhorn_graceful_shutdown_fd();
            say("stop registered");
        } else if (IS("become")) {
            say_outcome("become", einhorn_become_worker());
        } else if (IS("ack") || IS("ack-fd")) {
            say_outcome("ack", einhorn_ack());
        } else if (IS("ping")) {
            say_outcome("ping", einhorn_ping(argument));
        } else if (IS("read")) {
            read_line(0, line, sizeof line);
            say("read %s", line);
        } else if (IS("serve")) {
            serve();
        } else if (IS("wait")) {
            wait_until_asked();
        } else if (IS("idle")) {
            say("idle");
            for (;;) {
                pause();
            }
        } else {
            fprintf(stderr, "no such word: %s\n", word);
            return 1;
        }
    }
    return 0;
}

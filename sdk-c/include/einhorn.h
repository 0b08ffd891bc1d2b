/** @file
 * Makes a program a good worker of an einhorn master.
 *
 * Every call may be made from any thread. None aborts, exits, closes an inherited descriptor,
 * raises SIGPIPE or changes the environment; like getenv(), none may run while another thread
 * changes the environment. A negative result is an error: see einhorn_strerror().
 *
 * Made from sdk-c/src/lib.rs; do not edit. */

#ifndef EINHORN_H
#define EINHORN_H

#include <stdbool.h>

/**
 * Version of this interface: of the calls, their types and the error numbers. Compare it with
 * einhorn_abi_version(). Additions leave it as it is.
 */
#define EINHORN_ABI_VERSION 1

/**
 * This process is not a worker of an einhorn master: it was started otherwise, or by a
 * process in between that did not exec it.
 */
#define EINHORN_E_NOT_WORKER (-1)

/**
 * An EINHORN_ variable is missing or malformed.
 */
#define EINHORN_E_ENVIRONMENT (-2)

/**
 * There are fewer sockets than that.
 */
#define EINHORN_E_NO_SUCH_SOCKET (-3)

/**
 * A variable names a descriptor that is closed, no socket, or not listening.
 */
#define EINHORN_E_BAD_DESCRIPTOR (-4)

/**
 * The socket is of another family. No call of this version returns it.
 */
#define EINHORN_E_WRONG_FAMILY (-5)

/**
 * The master's command socket cannot be reached.
 */
#define EINHORN_E_UNREACHABLE (-6)

/**
 * The message was sent, but not confirmed within 30 seconds.
 */
#define EINHORN_E_NOT_CONFIRMED (-7)

/**
 * The message was refused, or dropped unread.
 */
#define EINHORN_E_REFUSED (-8)

/**
 * The message is longer than a master reads (1 MiB).
 */
#define EINHORN_E_MESSAGE_TOO_LONG (-9)

/**
 * The system refused a call.
 */
#define EINHORN_E_SYSTEM (-10)

/**
 * An argument is NULL or not UTF-8.
 */
#define EINHORN_E_INVALID_ARGUMENT (-100)

/**
 * A fault of this library, which it caught.
 */
#define EINHORN_E_INTERNAL (-101)

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface that the library has which is loaded. Never fails.
 *
 * @return its EINHORN_ABI_VERSION.
 */
unsigned int einhorn_abi_version(void);

/**
 * Whether a master started this very process. Never fails.
 *
 * @return true in a worker; false outside a master, and in a child of a worker.
 */
bool einhorn_is_worker(void);

/**
 * How many listening sockets the master opened for its workers. Never fails.
 *
 * @return their number; 0 outside a master, and where the variables make no sense
 * (einhorn_socket_fd() tells what is wrong).
 */
int einhorn_socket_count(void);

/**
 * The descriptor of a listening socket.
 *
 * The number is the same at every call. The descriptor is inherited, shared with all other
 * workers (O_NONBLOCK too), not close-on-exec, and the process's own to keep or close. Never
 * shutdown() it: that would stop all workers.
 *
 * @param n which socket, from 0 in the order of the master's -b options.
 * @return a descriptor >= 0, or EINHORN_E_NO_SUCH_SOCKET, EINHORN_E_ENVIRONMENT or
 * EINHORN_E_BAD_DESCRIPTOR.
 */
int einhorn_socket_fd(int n);

/**
 * This worker's index: the smallest, from 0, that no living worker had when it was started,
 * kept for life. After an upgrade it may be as large as the number of workers or larger.
 *
 * @return the index >= 0, or EINHORN_E_NOT_WORKER where there is none.
 */
int einhorn_child_index(void);

/**
 * Tells the master that this worker is up, and waits until it has taken that: usually well
 * under a millisecond, 30 seconds at most. Needed where the master runs with --ack-mode
 * manual, harmless elsewhere and when repeated. Never raises SIGPIPE.
 *
 * Call einhorn_graceful_shutdown_fd() before: a worker that is up may be asked to stop.
 *
 * @return 0, or EINHORN_E_NOT_WORKER, EINHORN_E_ENVIRONMENT, EINHORN_E_UNREACHABLE,
 * EINHORN_E_NOT_CONFIRMED, EINHORN_E_REFUSED or EINHORN_E_BAD_DESCRIPTOR.
 */
int einhorn_ack(void);

/**
 * Tells the master that this worker is alive, and what it is busy with. The master's state
 * shows it. Waits as einhorn_ack() does.
 *
 * @param id a text of yours in UTF-8 that ends in a NUL and does not change meanwhile, or
 * NULL.
 * @return 0, or an error of einhorn_ack(), EINHORN_E_MESSAGE_TOO_LONG (about 1 MiB) or
 * EINHORN_E_INVALID_ARGUMENT.
 */
int einhorn_ping(const char *id);

/**
 * From here on this process is a worker. Call it once, after everything is loaded that workers
 * are to share, and before any thread is started. Under `einhorn -p PROGRAM ... PROGRAM ...`
 * the first process never returns from it: it forks a worker whenever the master asks for one,
 * and the call returns in each worker. Anywhere else it returns at once.
 *
 * @return 0, or EINHORN_E_SYSTEM when other threads run already, or EINHORN_E_ENVIRONMENT or
 * EINHORN_E_BAD_DESCRIPTOR when the variables of a preloader make no sense.
 */
int einhorn_become_worker(void);

/**
 * A descriptor that becomes readable when the master asks this worker to stop (SIGUSR2), for
 * poll() and its relatives: finish what is begun, then exit with 0.
 *
 * It stays readable for as long as nobody reads it, and nobody needs to. It is the same at
 * every call, close-on-exec, and must not be closed. Blocking calls that the signal
 * interrupts fail with EINTR. The first call installs a handler for SIGUSR2, in place of any
 * other; before it the signal kills the process, as it does by default. Works outside a
 * master too. In a child made by fork() the signal has its default effect until the child
 * makes this call itself.
 *
 * @return a descriptor >= 0, or EINHORN_E_SYSTEM.
 */
int einhorn_graceful_shutdown_fd(void);

/**
 * What an error number means, as a line of English without a final stop.
 *
 * For the error that the latest failed call on this thread returned it names the variable or
 * file, its value and the reason. That text is valid until the next call of this library on
 * this thread fails; any other text is valid for ever.
 *
 * @param error what a call returned, or any number.
 * @return the text, never NULL.
 */
const char *einhorn_strerror(int error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* EINHORN_H */

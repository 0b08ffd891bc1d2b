/**
 * Makes a program a good worker of an einhorn master.
 *
 * Outside a master everything loads, `isWorker()` is false, `socketCount()` is 0, and what
 * cannot work throws or rejects with an `EinhornError` that says what is missing. The
 * functions read the environment at each call, change nothing in it, and close no inherited
 * descriptor.
 */

/** What an error's cause is; the same names as in the other languages. */
export type EinhornErrorCode =
  /** This process is not a worker: no einhorn master is its parent. */
  | 'EINHORN_NOT_WORKER'
  /** An `EINHORN_` variable is missing or its value makes no sense. */
  | 'EINHORN_ENVIRONMENT'
  /** The master opened fewer sockets than that. */
  | 'EINHORN_NO_SUCH_SOCKET'
  /** A variable names a descriptor that is closed, no socket, or not listening. */
  | 'EINHORN_BAD_DESCRIPTOR'
  /** The socket is of another family. */
  | 'EINHORN_WRONG_FAMILY'
  /** The master's command socket cannot be reached. */
  | 'EINHORN_UNREACHABLE'
  /** The message was sent, but the master did not take it within 30 seconds. */
  | 'EINHORN_NOT_CONFIRMED'
  /** Whoever listens on the command socket refused the message, or dropped it unread. */
  | 'EINHORN_REFUSED'
  /** The message is longer than a master reads, which is 1 MiB. */
  | 'EINHORN_MESSAGE_TOO_LONG'
  /** The system refused a call. */
  | 'EINHORN_SYSTEM'

/** What the functions throw, or reject with. The message names the variable and its value. */
export interface EinhornError extends Error {
  /** The cause, for programs. */
  code: EinhornErrorCode
}

/** Whatever listens on `{ fd }`: servers of `net`, `http`, `https`, `tls`, an express app. */
export interface Listening {
  /** Begins to serve on that descriptor. */
  listen(options: { fd: number }, callback: (error?: Error) => void): unknown
}

/**
 * Whether a master started this very process.
 *
 * False outside a master, in a child of a worker (`npm start`, a shell that does not exec),
 * and in an orphan whose master has died. Never throws.
 */
export function isWorker(): boolean

/**
 * This worker's index, or null in a process that is not a worker.
 *
 * The smallest, from 0, that no living worker had when this one was started, kept for life.
 * After an upgrade it may be as large as the number of workers or larger. Never throws.
 */
export function childIndex(): number | null

/** How many listening sockets the master opened; 0 outside a master. Never throws. */
export function socketCount(): number

/**
 * The number of the inherited descriptor of socket `n`, from 0 (the default) in the order of
 * the master's `-b` options. All workers share it.
 *
 * @throws EinhornError `EINHORN_NO_SUCH_SOCKET`, `EINHORN_ENVIRONMENT`,
 *   `EINHORN_BAD_DESCRIPTOR`
 */
export function socketFd(n?: number): number

/**
 * Has `server` listen on socket `n` (0 by default), on a duplicate that closes with the
 * server and closes nothing else.
 *
 * Resolves, once it listens, to what `server.listen` returned: the server itself, or for an
 * express app the server that it made.
 *
 * @param options passed on to `server.listen` beside `fd`. Node sets the backlog anew, for
 *   all workers: `backlog`, 511 by default, as far as the system allows.
 * @throws EinhornError as `socketFd`, and `EINHORN_SYSTEM`; the server's own errors
 */
export function listen<S extends Listening>(
  server: S,
  n?: number,
  options?: { backlog?: number; [option: string]: unknown }
): Promise<ReturnType<S['listen']>>

/**
 * Tells the master that this worker is up; resolves when it has taken that.
 *
 * That takes about a millisecond, 30 seconds at most. Needed where the master runs with
 * `--ack-mode manual`; harmless elsewhere and when repeated. Call `onGracefulShutdown` before.
 *
 * @throws EinhornError `EINHORN_NOT_WORKER` (the message tells why), `EINHORN_ENVIRONMENT`,
 *   `EINHORN_UNREACHABLE`, `EINHORN_NOT_CONFIRMED`, `EINHORN_REFUSED`
 */
export function ack(): Promise<void>

/**
 * Tells the master that this worker is alive and busy with `requestId`, a text of yours.
 *
 * The master's state shows it.
 *
 * @throws EinhornError as `ack`, and `EINHORN_MESSAGE_TOO_LONG` beyond 1 MiB
 */
export function ping(requestId: string): Promise<void>

/**
 * Calls `callback` when the master asks this worker to stop (SIGUSR2): close the servers,
 * finish what is begun, and let the process end.
 *
 * Once, in the event loop. Several registrations are all called, one that comes after the
 * request soon; a second request does nothing. It does not keep the process alive. Until the
 * first registration the signal kills the process, so register before `ack`. Works outside a
 * master too (try `kill -USR2`), and in the main thread only, as all signals in Node.
 */
export function onGracefulShutdown(callback: () => void): void

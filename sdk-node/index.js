'use strict'

// Makes a program a good worker of an einhorn master. The documentation is in index.d.ts.

const native = load()

/** The compiled part, or a stand-in where there is none for this system. */
function load() {
  try {
    return require(`./einhorn-worker.${process.platform}-${process.arch}.node`)
  } catch (error) {
    // No master runs on such a system, so a program is told that it is no worker, and runs.
    const [reason] = String(error.message).split('\n')
    const failure = {
      code: 'EINHORN_NOT_WORKER',
      message:
        'not a worker: the compiled part of einhorn-worker cannot be loaded here ' + `(${reason})`
    }
    return {
      isWorker: () => false,
      childIndex: () => null,
      socketCount: () => 0,
      socketFd: () => failure,
      ownedFd: () => failure,
      ack: async () => failure,
      ping: async () => failure
    }
  }
}

function failed({ code, message }) {
  return Object.assign(new Error(message), { code })
}

/** The number that the compiled part gave, or its failure thrown. */
function numberOf(outcome) {
  if (typeof outcome === 'number') return outcome
  throw failed(outcome)
}

function checkIndex(n) {
  if (!Number.isInteger(n)) throw new TypeError(`n must be an integer, not ${String(n)}`)
  if (n < 0 || n > 0xffffffff) {
    throw failed({
      code: 'EINHORN_NO_SUCH_SOCKET',
      message: `there is no socket ${n}: indexes count from 0`
    })
  }
  return n
}

function isWorker() {
  return native.isWorker()
}

function childIndex() {
  return native.childIndex()
}

function socketCount() {
  return native.socketCount()
}

function socketFd(n = 0) {
  return numberOf(native.socketFd(checkIndex(n)))
}

async function listen(server, n = 0, options = {}) {
  if (typeof server?.listen !== 'function') {
    throw new TypeError('server must have a method listen')
  }
  // The server closes what it was given when it closes, so it is given a duplicate.
  const fd = numberOf(native.ownedFd(checkIndex(n)))
  return await new Promise((resolve, reject) => {
    let started = server
    const settle = (error) => {
      started.removeListener?.('error', settle)
      if (error) reject(error)
      else resolve(started)
    }
    try {
      started = server.listen({ ...options, fd }, settle) ?? server
    } catch (error) {
      require('node:fs').closeSync(fd)
      throw error
    }
    started.once?.('error', settle)
  })
}

async function ack() {
  const failure = await native.ack()
  if (failure) throw failed(failure)
}

async function ping(requestId) {
  if (typeof requestId !== 'string') {
    throw new TypeError(`requestId must be a string, not ${typeof requestId}`)
  }
  const failure = await native.ping(requestId)
  if (failure) throw failed(failure)
}

/** Callbacks that wait for the request to stop; null before the first. */
let waiting = null
let requested = false

function onGracefulShutdown(callback) {
  if (typeof callback !== 'function') {
    throw new TypeError(`callback must be a function, not ${typeof callback}`)
  }
  if (waiting === null) {
    waiting = []
    process.on('SIGUSR2', request)
  }
  waiting.push(callback)
  if (requested) process.nextTick(callWaiting)
}

function request() {
  requested = true
  callWaiting()
}

function callWaiting() {
  // One that throws must not keep the others from being called.
  for (const callback of waiting.splice(0))
    process.nextTick(() => {
      callback()
    })
}

// Spelt out, so that ES modules see the names.
module.exports.isWorker = isWorker
module.exports.childIndex = childIndex
module.exports.socketCount = socketCount
module.exports.socketFd = socketFd
module.exports.listen = listen
module.exports.ack = ack
module.exports.ping = ping
module.exports.onGracefulShutdown = onGracefulShutdown

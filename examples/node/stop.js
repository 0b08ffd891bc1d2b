'use strict'

// How the servers in this folder stop without losing a request on a kept-alive connection.

const net = require('node:net')
const worker = require('einhorn-worker')

const IDLE_MILLISECONDS = 30000

/** Has `server` drain when the master asks this worker to stop. */
function drainOnRequest(server) {
  let stopping = false
  // Before any other listener: the answer to come tells the client to go elsewhere.
  server.prependListener('request', (_, response) => {
    if (stopping) response.setHeader('Connection', 'close')
  })
  server.keepAliveTimeout = IDLE_MILLISECONDS
  worker.onGracefulShutdown(() => {
    stopping = true
    // http's own close() would also end the idle connections, on which a request may be
    // on its way.
    net.Server.prototype.close.call(server)
  })
}

module.exports = { drainOnRequest }

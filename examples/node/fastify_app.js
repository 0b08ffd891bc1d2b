'use strict'

// A fastify application as a worker.
//
//     einhorn -b 127.0.0.1:7000 -n 2 -m manual node fastify_app.js

const fastify = require('fastify')
const worker = require('einhorn-worker')
const { drainOnRequest } = require('./stop.js')

async function main() {
  const app = fastify()
  app.get('/', async () => `hello from ${process.pid}\n`)
  await app.ready()
  drainOnRequest(app.server)
  await worker.listen(app.server, 0)
  if (worker.isWorker()) await worker.ack()
}

main()

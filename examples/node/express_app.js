'use strict'

// An express application as a worker.
//
//     einhorn -b 127.0.0.1:7000 -n 2 -m manual node express_app.js

const express = require('express')
const worker = require('einhorn-worker')
const { drainOnRequest } = require('./stop.js')

async function main() {
  const app = express()
  app.get('/', (request, response) => {
    response.send(`hello from ${process.pid}\n`)
  })
  const server = await worker.listen(app, 0)
  drainOnRequest(server)
  if (worker.isWorker()) await worker.ack()
}

main()

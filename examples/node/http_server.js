'use strict'

// A worker with nothing but node:http.
//
//     einhorn -b 127.0.0.1:7000 -n 2 -m manual node http_server.js

const http = require('node:http')
const worker = require('einhorn-worker')
const { drainOnRequest } = require('./stop.js')

async function main() {
  const server = http.createServer((request, response) => {
    response.end(`hello from ${process.pid}\n`)
  })
  drainOnRequest(server)
  await worker.listen(server, 0)
  if (worker.isWorker()) await worker.ack()
}

main()

'use strict'

// A server on a descriptor that was opened for it.

const http = require('node:http')

const server = http.createServer((request, response) => {
  const body = `hello from ${process.pid}\n`
  response.writeHead(200, { 'content-length': body.length })
  response.end(body)
})
server.listen({ fd: 3 })
process.on('SIGTERM', () => server.close())

'use strict'

// fastify on a descriptor that was opened for it.

// While it closes, what has been accepted is answered as ever, not with 503.
const app = require('fastify')({ return503OnClosing: false })

app.get('/', async () => `hello from ${process.pid}\n`)
app.ready().then(() => app.server.listen({ fd: 3 }))
process.on('SIGTERM', () => app.close())

import worker from './index.js'

export default worker
export const {
  isWorker,
  childIndex,
  socketCount,
  socketFd,
  listen,
  ack,
  ping,
  onGracefulShutdown
} = worker

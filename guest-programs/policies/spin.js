// A spin handler: let the first vCPU search as the kernel does, and have all others sleep for 100 us.
export default function spin(vcpu, pcpu, standard) {
  return vcpu.index === 0 ? standard(vcpu, pcpu) : 'doze';
}

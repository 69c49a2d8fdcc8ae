// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A KVM guest of one vCPU in 32-bit protected mode without paging, whose RAM starts at address 0.
/// It runs the bytes at 0x1000 until they halt.

#include <cstddef>
#include <cstdint>

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kernel/file_descriptor.hpp"

namespace uffdmm::test {

class tiny_vm {
  public:
    static constexpr std::uint64_t entry = 0x1000;

    tiny_vm(std::byte* ram, std::size_t bytes)
        : kvm_(::open("/dev/kvm", O_RDWR | O_CLOEXEC)),
          vm_(kvm_ ? ::ioctl(kvm_.get(), KVM_CREATE_VM, 0) : -1) {
        if (!vm_)
            return;
        (void)::ioctl(vm_.get(), KVM_SET_TSS_ADDR, 0xfffbd000);
        kvm_userspace_memory_region region{};
        region.memory_size = bytes;
        region.userspace_addr = reinterpret_cast<std::uintptr_t>(ram);
        if (::ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
            return;
        vcpu_ = file_descriptor(::ioctl(vm_.get(), KVM_CREATE_VCPU, 0));
        usable_ = vcpu_ && map_run() && set_registers();
    }
    tiny_vm(const tiny_vm&) = delete;
    tiny_vm& operator=(const tiny_vm&) = delete;
    ~tiny_vm() {
        if (run_ != nullptr)
            ::munmap(run_, run_bytes_);
    }

    [[nodiscard]] bool usable() const { return usable_; }
    /// Until the guest halts or fails; the KVM_EXIT_ reason, or 0 if KVM_RUN failed.
    std::uint32_t run() { return ::ioctl(vcpu_.get(), KVM_RUN, 0) == 0 ? run_->exit_reason : 0; }

  private:
    bool map_run() {
        const int bytes = ::ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
        if (bytes <= 0)
            return false;
        run_bytes_ = static_cast<std::size_t>(bytes);
        void* at = ::mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_.get(), 0);
        run_ = at == MAP_FAILED ? nullptr : static_cast<kvm_run*>(at);
        return run_ != nullptr;
    }
    static kvm_segment flat(std::uint8_t type) {
        kvm_segment s{};
        s.limit = 0xffff'ffff;
        s.selector = 8;
        s.type = type;
        s.present = s.s = s.db = s.g = 1;
        return s;
    }
    bool set_registers() {
        kvm_sregs sregs{};
        if (::ioctl(vcpu_.get(), KVM_GET_SREGS, &sregs) != 0)
            return false;
        sregs.cr0 |= 1;
        sregs.cs = flat(11);
        sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat(3);
        kvm_regs regs{};
        regs.rip = entry;
        regs.rflags = 2;
        return ::ioctl(vcpu_.get(), KVM_SET_SREGS, &sregs) == 0 &&
               ::ioctl(vcpu_.get(), KVM_SET_REGS, &regs) == 0;
    }

    file_descriptor kvm_;
    file_descriptor vm_;
    file_descriptor vcpu_;
    kvm_run* run_ = nullptr;
    std::size_t run_bytes_ = 0;
    bool usable_ = false;
};

} // namespace uffdmm::test

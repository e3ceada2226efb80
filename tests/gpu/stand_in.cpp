// A GPU for machines without one: tensors "on cuda:0" whose bytes lie in the machine's own memory.
//
// Every operation on them is done by torch's CPU kernel, so results are a CPU's to the bit. What is the device's own is kept
// to, and its breach is an error as on a real one:
//   - tensors of two devices do not mix;
//   - what is copied to the host without waiting is NaN there until somebody waits for it;
//   - a stream that touches what another has written, or will still read, must have waited for it, and memory that another
//     stream uses must be recorded there before it is freed;
//   - with torch.cuda.set_sync_debug_mode("error") nothing may wait for the device;
//   - memory ends, and what is in use and was at most in use is known.
// Speed, rounding, kernels that a GPU lacks and what several GPUs do together are beyond it.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::Stream;
using c10::StreamId;
using Clock = std::map<StreamId, int64_t>;  // of each stream, the last piece of work that is known to be done

const Device kGpu(c10::kCUDA, 0);
thread_local Stream current_stream(Stream::DEFAULT, kGpu);

void merge(Clock& into, const Clock& from) {
  for (auto [stream, time] : from) into[stream] = std::max(into[stream], time);
}

bool covers(const Clock& clock, StreamId stream, int64_t time) {
  auto found = clock.find(stream);
  return found != clock.end() && found->second >= time;
}

std::string number(int64_t value) { return std::to_string(value); }

struct Block {  // of memory
  size_t num_bytes;
  StreamId owner;
  std::pair<StreamId, int64_t> written;
  Clock read;
  std::vector<StreamId> recorded;
};

struct Copy {  // to the host, under way
  StreamId stream;
  int64_t time;
  std::function<void()> arrive;
};

// What has happened on the device. Threads of the host are one here: what one of them waited for, all have.
class Log {
 public:
  void born(const void* memory, size_t num_bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto stream = current_stream.id();
    blocks_[memory] = Block{num_bytes, stream, {stream, launched(stream)}, {}, {}};
    in_use_ += num_bytes;
    peak_ = std::max(peak_, in_use_);
  }

  void room_for(size_t num_bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK_WITH(
        OutOfMemoryError, in_use_ + num_bytes <= limit_, "CUDA out of memory. Tried to allocate ", num_bytes, " bytes.");
  }

  void freed(const void* memory) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = blocks_.find(memory);
    if (found == blocks_.end()) return;
    auto& block = found->second;
    for (auto [stream, time] : block.read) {
      bool recorded = std::find(block.recorded.begin(), block.recorded.end(), stream) != block.recorded.end();
      if (stream != block.owner && !recorded && !covers(host_, stream, time) && !covers(streams_[block.owner], stream, time))
        breach("memory of stream " + number(block.owner) + " was freed while stream " + number(stream) + " used it");
    }
    in_use_ -= block.num_bytes;
    blocks_.erase(found);
  }

  void recorded(const void* memory, StreamId stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = blocks_.find(memory);
    if (found != blocks_.end()) found->second.recorded.push_back(stream);
  }

  // A kernel on the current stream reads and writes these.
  void kernel(const std::string& name, const std::vector<std::pair<const void*, bool>>& touched) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto stream = current_stream.id();
    auto time = launched(stream);
    for (auto [memory, writes] : touched) {
      auto found = blocks_.find(memory);
      if (found == blocks_.end()) continue;
      auto& block = found->second;
      after(name, stream, block.written.first, block.written.second, "wrote");
      if (writes) {
        for (auto [reader, when] : block.read) after(name, stream, reader, when, "still reads");
        block.written = {stream, time};
      }
      block.read[stream] = time;
    }
  }

  void copy_to_host(std::function<void()> arrive) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto stream = current_stream.id();
    copies_.push_back({stream, launched(stream), std::move(arrive)});
  }

  void waits(const std::string& what) {
    TORCH_CHECK(!refuses_waits, "called a synchronizing CUDA operation: ", what);
    waited_for(current_stream.id());
  }

  void waited_for(StreamId stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    waited(now(stream));
  }

  void waited_for_all() {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto& [stream, clock] : streams_) merge(host_, clock);
    waited({});
  }

  Clock* snapshot(StreamId stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    return new Clock(now(stream));
  }

  void waited_for(const Clock& event) {
    std::lock_guard<std::mutex> lock(mutex_);
    waited(event);
  }

  void stream_waits(StreamId stream, const Clock& event) {
    std::lock_guard<std::mutex> lock(mutex_);
    merge(streams_[stream], event);
  }

  std::vector<std::string> breaches() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(breaches_, {});
  }

  int64_t in_use() { std::lock_guard<std::mutex> lock(mutex_); return in_use_; }
  int64_t peak() { std::lock_guard<std::mutex> lock(mutex_); return peak_; }
  void forget_peak() { std::lock_guard<std::mutex> lock(mutex_); peak_ = in_use_; }
  void limit(int64_t num_bytes) { std::lock_guard<std::mutex> lock(mutex_); limit_ = num_bytes; }

  std::atomic<bool> refuses_waits{false};

 private:
  int64_t launched(StreamId stream) {
    merge(streams_[stream], host_);
    return streams_[stream][stream] = ++time_;
  }

  Clock now(StreamId stream) {
    merge(streams_[stream], host_);
    return streams_[stream];
  }

  void after(const std::string& name, StreamId stream, StreamId other, int64_t time, const char* what) {
    if (stream != other && !covers(streams_[stream], other, time))
      breach(name + " on stream " + number(stream) + " does not wait for stream " + number(other) + ", which " + what + " its memory");
  }

  void waited(const Clock& event) {
    merge(host_, event);
    std::vector<Copy> left;
    for (auto& copy : copies_) {
      if (covers(host_, copy.stream, copy.time)) copy.arrive();
      else left.push_back(std::move(copy));
    }
    copies_ = std::move(left);
  }

  void breach(std::string sentence) {
    if (std::find(breaches_.begin(), breaches_.end(), sentence) == breaches_.end()) breaches_.push_back(std::move(sentence));
  }

  std::mutex mutex_;
  std::unordered_map<const void*, Block> blocks_;
  std::map<StreamId, Clock> streams_;
  Clock host_;
  std::vector<Copy> copies_;
  std::vector<std::string> breaches_;
  int64_t time_ = 0, in_use_ = 0, peak_ = 0, limit_ = int64_t(16) << 30;
};

Log& the_log() {
  static Log* log = new Log;  // tensors outlive everything else
  return *log;
}

struct GpuGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  Device exchangeDevice(Device) const override { return kGpu; }
  Device getDevice() const override { return kGpu; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  DeviceIndex deviceCount() const noexcept override { return 1; }
  Stream getStream(Device) const override { return current_stream; }
  Stream getDefaultStream(Device) const override { return Stream(Stream::DEFAULT, kGpu); }
  Stream getNewStream(Device, int) const override {
    static std::atomic<StreamId> next{1};
    return Stream(Stream::UNSAFE, kGpu, next++);
  }
  Stream getStreamFromGlobalPool(Device device, bool) const override { return getNewStream(device, 0); }
  Stream exchangeStream(Stream stream) const override { return std::exchange(current_stream, stream); }
  void record(void** event, const Stream& stream, const DeviceIndex, const c10::EventFlag) const override {
    delete static_cast<Clock*>(*event);
    *event = the_log().snapshot(stream.id());
  }
  void destroyEvent(void* event, const DeviceIndex) const noexcept override { delete static_cast<Clock*>(event); }
  void block(void* event, const Stream& stream) const override { the_log().stream_waits(stream.id(), *static_cast<Clock*>(event)); }
  bool queryEvent(void*) const override { return false; }
  bool queryStream(const Stream&) const override { return false; }
  void synchronizeEvent(void* event) const override { the_log().waited_for(*static_cast<Clock*>(event)); }
  void synchronizeStream(const Stream& stream) const override { the_log().waited_for(stream.id()); }
  void synchronizeDevice(const DeviceIndex) const override { the_log().waited_for_all(); }
};
C10_REGISTER_GUARD_IMPL(CUDA, GpuGuard);

// A pointer of the device to memory that `held` keeps; its life is noted.
template <typename Held>
c10::DataPtr noted(Held* held, void* memory, size_t num_bytes) {
  if (memory != nullptr) the_log().born(memory, num_bytes);
  struct Both { Held* held; void* memory; };
  return {memory, new Both{held, memory}, [](void* context) {
            auto* both = static_cast<Both*>(context);
            the_log().freed(both->memory);
            delete both->held;
            delete both;
          }, kGpu};
}

struct GpuMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t num_bytes) override {
    the_log().room_for(num_bytes);
    auto* held = new c10::DataPtr(c10::GetCPUAllocator()->allocate(num_bytes));
    return noted(held, held->get(), num_bytes);
  }
  void copy_data(void* to, const void* from, size_t num_bytes) const override { default_copy_data(to, from, num_bytes); }
};
GpuMemory gpu_memory;

// Pinned memory is ordinary memory that is known to be pinned.
struct PinnedMemory final : c10::Allocator {
  static std::mutex mutex;
  static std::map<const char*, size_t> ranges;
  c10::DataPtr allocate(size_t num_bytes) override {
    auto* held = new c10::DataPtr(c10::GetCPUAllocator()->allocate(num_bytes));
    std::lock_guard<std::mutex> lock(mutex);
    ranges[static_cast<const char*>(held->get())] = num_bytes;
    return {held->get(), held, [](void* context) {
              auto* held = static_cast<c10::DataPtr*>(context);
              std::lock_guard<std::mutex> lock(mutex);
              ranges.erase(static_cast<const char*>(held->get()));
              delete held;
            }, Device(c10::kCPU)};
  }
  void copy_data(void* to, const void* from, size_t num_bytes) const override { default_copy_data(to, from, num_bytes); }
  static bool holds(const void* memory) {
    std::lock_guard<std::mutex> lock(mutex);
    auto after = ranges.upper_bound(static_cast<const char*>(memory));
    if (after == ranges.begin()) return false;
    --after;
    return static_cast<const char*>(memory) < after->first + std::max<size_t>(after->second, 1);
  }
};
std::mutex PinnedMemory::mutex;
std::map<const char*, size_t> PinnedMemory::ranges;
PinnedMemory pinned_memory;

struct CUDAHooks final : at::CUDAHooksInterface {  // under this name torch looks for it
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  DeviceIndex current_device() const override { return 0; }
  int getNumGPUs() const override { return 1; }
  const at::Generator& getDefaultGenerator(DeviceIndex) const override { return at::globalContext().defaultGenerator(c10::kCPU); }
  bool isPinnedPtr(const void* memory) const override { return PinnedMemory::holds(memory); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  c10::Allocator* getCUDADeviceAllocator() const override { return &gpu_memory; }
  void deviceSynchronize(DeviceIndex) const override { the_log().waited_for_all(); }
};

at::Tensor tensor_like(c10::Storage storage, c10::DispatchKey key, const at::Tensor& like) {
  auto tensor = at::detail::make_tensor<at::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  auto* impl = tensor.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return tensor;
}

// The CPU's name for the bytes of a tensor of the device.
at::Tensor on_host(const at::Tensor& tensor) {
  auto* held = new c10::Storage(tensor.storage());
  c10::DataPtr pointer(held->mutable_data(), held, [](void* held) { delete static_cast<c10::Storage*>(held); }, c10::kCPU);
  c10::Storage storage({}, held->nbytes(), std::move(pointer), c10::GetCPUAllocator(), true);
  return tensor_like(std::move(storage), c10::DispatchKey::CPU, tensor);
}

// The device's name for bytes that a CPU kernel made.
at::Tensor on_device(const at::Tensor& made) {
  the_log().room_for(made.storage().nbytes());
  auto* held = new c10::Storage(made.storage());
  c10::Storage storage({}, held->nbytes(), noted(held, held->mutable_data(), held->nbytes()), &gpu_memory, true);
  return tensor_like(std::move(storage), c10::DispatchKey::CUDA, made);
}

at::Tensor view_of(const at::Tensor& whole, const at::Tensor& like) {
  auto view = at::detail::make_tensor<at::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(whole.storage()), whole.key_set(), like.dtype());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  return view;
}

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

bool size_depends_on_values(const std::string& name) {
  for (const char* start : {"aten::nonzero", "aten::masked_select", "aten::_unique", "aten::unique", "aten::_local_scalar_dense"})
    if (starts_with(name, start)) return true;
  return false;
}

// One call of an operation: its tensors of the device beside the CPU's names for them.
struct Call {
  std::string name;
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;
  std::vector<std::pair<const void*, bool>> touched;

  at::Tensor to_host(const at::Tensor& tensor, const c10::Argument& argument) {
    if (!tensor.defined()) return tensor;
    const bool is_index = argument.name() == "indices" && starts_with(name, "aten::") && name.find("index") != std::string::npos;
    if (is_index && (!tensor.is_cuda() || tensor.scalar_type() == at::kBool)) the_log().waits(name);
    if (!tensor.is_cuda()) {
      TORCH_CHECK(
          tensor.dim() == 0 || is_index, "Expected all tensors to be on the same device, but ", name, " got ", tensor.sizes(), " on ",
          tensor.device(), " and others on cuda:0");
      return tensor;
    }
    touched.emplace_back(tensor.storage().data(), argument.alias_info() && argument.alias_info()->isWrite());
    for (auto& [theirs, ours] : pairs)
      if (theirs.is_same(tensor)) return ours;
    pairs.emplace_back(tensor, on_host(tensor));
    return pairs.back().second;
  }

  at::Tensor from_host(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    for (auto& [theirs, ours] : pairs)
      if (ours.is_same(tensor)) return theirs;
    for (auto& [theirs, ours] : pairs)
      if (ours.storage().is_alias_of(tensor.storage())) return view_of(theirs, tensor);
    return on_device(tensor);
  }
};

void by_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto& arguments = schema.arguments();
  const auto first = stack->size() - arguments.size();
  Call call{c10::toString(schema.operator_name()), {}, {}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto& value = (*stack)[first + i];
    if (value.isTensor()) {
      value = call.to_host(value.toTensor(), arguments[i]);
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const auto& tensor : value.toTensorVector()) list.push_back(call.to_host(tensor, arguments[i]));
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const auto& tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional<at::Tensor>(call.to_host(*tensor, arguments[i])) : std::nullopt);
      value = list;
    } else if (value.isDevice()) {
      value = Device(c10::kCPU);
    }
  }
  if (size_depends_on_values(call.name)) the_log().waits(call.name);
  {
    at::AutoDispatchBelowADInplaceOrView below;
    op.callBoxed(stack);
  }
  for (auto& [theirs, ours] : call.pairs) {  // an `out` of another size has new memory now
    if (ours.sizes() == theirs.sizes() && ours.data_ptr() == theirs.data_ptr()) continue;
    auto anew = on_device(ours);
    theirs.unsafeGetTensorImpl()->set_storage_keep_dtype(anew.storage());
    theirs.unsafeGetTensorImpl()->set_sizes_and_strides(ours.sizes(), ours.strides(), ours.storage_offset());
  }
  bool only_views = !schema.returns().empty();
  for (auto i = stack->size() - schema.returns().size(); i < stack->size(); ++i) {
    auto& value = (*stack)[i];
    const auto* alias = schema.returns()[i - (stack->size() - schema.returns().size())].alias_info();
    only_views = only_views && alias && !alias->isWrite();
    if (value.isTensor()) {
      value = call.from_host(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const auto& tensor : value.toTensorVector()) list.push_back(call.from_host(tensor));
      value = list;
    }
  }
  if (!only_views) the_log().kernel(call.name, call.touched);
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  auto to = self.is_cuda() ? on_host(self) : self;
  auto from = source.is_cuda() ? on_host(source) : source;
  std::vector<std::pair<const void*, bool>> touched;
  if (source.is_cuda()) touched.emplace_back(source.storage().data(), false);
  if (self.is_cuda()) touched.emplace_back(self.storage().data(), true);
  the_log().kernel("aten::copy_", touched);
  at::AutoDispatchBelowADInplaceOrView below;
  if (self.is_cuda() && source.is_cuda()) {
    to.copy_(from);
  } else if (self.is_cuda()) {
    to.copy_(from);
    if (!non_blocking || !PinnedMemory::holds(source.storage().data())) the_log().waits("a copy from the host");
  } else if (non_blocking && PinnedMemory::holds(self.storage().data())) {
    auto sent = from.clone();
    std::memset(to.storage().mutable_data(), 0xff, to.storage().nbytes());  // NaN, or a number that nobody expects
    the_log().copy_to_host([to, sent]() mutable {
      at::AutoDispatchBelowADInplaceOrView below;
      to.copy_(sent);
    });
  } else {
    the_log().waits("a copy to the host");
    to.copy_(from);
  }
  return self;
}

at::Tensor empty(
    c10::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>, std::optional<Device>, std::optional<bool>,
    std::optional<at::MemoryFormat> format) {
  auto dtype = type.value_or(at::get_default_dtype_as_scalartype());
  return at::detail::empty_generic(size, &gpu_memory, c10::DispatchKeySet(c10::DispatchKey::CUDA), dtype, format);
}

at::Tensor empty_strided(
    c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> type, std::optional<at::Layout>,
    std::optional<Device>, std::optional<bool>) {
  auto dtype = type.value_or(at::get_default_dtype_as_scalartype());
  return at::detail::empty_strided_generic(size, stride, &gpu_memory, c10::DispatchKeySet(c10::DispatchKey::CUDA), dtype);
}

const at::Tensor& resize_(const at::Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  auto anew = at::empty(size, self.options(), format);
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(anew.storage());
  self.unsafeGetTensorImpl()->set_sizes_and_strides(anew.sizes(), anew.strides());
  return self;
}

at::Tensor& set_part(at::Tensor& self, at::Storage source, int64_t offset, c10::IntArrayRef size, c10::IntArrayRef stride) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  if (stride.empty() && !size.empty()) {
    impl->set_storage_offset(offset);
    impl->set_sizes_contiguous(size);
  } else {
    impl->set_sizes_and_strides(size, stride, offset);
  }
  return self;
}

at::Tensor& set_whole(at::Tensor& self, at::Storage source) {
  const int64_t length = source.nbytes() / self.dtype().itemsize();
  return set_part(self, std::move(source), 0, {length}, {1});
}

void record_stream(at::Tensor& self, at::Stream stream) { the_log().recorded(self.storage().data(), stream.id()); }

const bool allocates = (c10::SetAllocator(c10::kCUDA, &gpu_memory, 100), true);

}  // namespace

namespace at {
REGISTER_CUDA_HOOKS(CUDAHooks)
}

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("copy_", &copy_);
  library.impl("resize_", &resize_);
  library.impl("set_.source_Storage_storage_offset", &set_part);
  library.impl("set_.source_Storage", &set_whole);
  library.impl("record_stream", &record_stream);
  for (const char* name : {"convolution", "convolution_backward"})  // else torch chooses another kernel than on a CPU
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>());
}

TORCH_LIBRARY(stand_in, library) {
  library.def("breaches() -> str[]", []() { return the_log().breaches(); });
  library.def("refuse_waits(bool yes) -> ()", [](bool yes) { the_log().refuses_waits = yes; });
  library.def("in_use() -> int", []() { return the_log().in_use(); });
  library.def("peak() -> int", []() { return the_log().peak(); });
  library.def("forget_peak() -> ()", []() { the_log().forget_peak(); });
  library.def("limit(int num_bytes) -> ()", [](int64_t num_bytes) { the_log().limit(num_bytes); });
}

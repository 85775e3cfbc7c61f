//! The CPU's device under another name, without some ops.

use std::sync::Arc;

use kinograph::backend::{
    BufferRef, CompileError, Executable, MemoryPlan, Refusal, StoredTypes, Support, Weights,
};
use kinograph::graph::{Graph, Node};
use kinograph::{Device, DeviceInfo, HostTensor, backend::DeviceError};

use crate::common::cpu;

pub(crate) struct Picky {
    info: DeviceInfo,
    inner: Arc<dyn Device>,
    refused: &'static [&'static str],
}

impl Picky {
    pub(crate) fn without(refused: &'static [&'static str]) -> Arc<dyn Device> {
        let info = DeviceInfo { id: "picky".into(), name: "refuses some ops".into(), facts: Vec::new() };
        Arc::new(Self { info, inner: cpu(), refused })
    }
}

impl Device for Picky {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        if self.refused.contains(&node.op.name) {
            return Support::No(Refusal::Op);
        }
        self.inner.support(graph, node)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        for node in graph.nodes() {
            assert!(
                self.support(&graph, node).is_yes(),
                "{} was compiled though it is refused",
                node.op.name
            );
        }
        self.inner.compile(graph, weights)
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        self.inner.plan(graph, stored)
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        self.inner.upload(tensor)
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        self.inner.download(buffer)
    }
}

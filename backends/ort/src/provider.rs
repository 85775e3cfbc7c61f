use ort::ep::{
    self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider as _, ExecutionProviderDispatch,
};

/// An execution provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    CoreMl,
    DirectMl,
    OpenVino,
}

use Provider::{CoreMl, Cpu, Cuda, DirectMl, OpenVino, TensorRt};

impl Provider {
    const ALL: [Self; 6] = [Cpu, Cuda, TensorRt, CoreMl, DirectMl, OpenVino];

    /// As in a device's id.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cpu => "cpu",
            Cuda => "cuda",
            TensorRt => "tensorrt",
            CoreMl => "coreml",
            DirectMl => "directml",
            OpenVino => "openvino",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Cpu => "ONNX Runtime on the processor",
            Cuda => "ONNX Runtime by CUDA",
            TensorRt => "ONNX Runtime by TensorRT",
            CoreMl => "ONNX Runtime by Core ML",
            DirectMl => "ONNX Runtime by DirectML",
            OpenVino => "ONNX Runtime by OpenVINO",
        }
    }

    /// Those that the loaded library was built with.
    pub(crate) fn available() -> Vec<Self> {
        let is = |provider: &Self| match provider {
            Cpu => Ok(true),
            Cuda => ep::CUDA::is_available(),
            TensorRt => ep::TensorRT::is_available(),
            CoreMl => ep::CoreML::is_available(),
            DirectMl => ep::DirectML::is_available(),
            OpenVino => ep::OpenVINO::is_available(),
        };
        Self::ALL.into_iter().filter(|p| is(p).unwrap_or(false)).collect()
    }

    /// Whether several devices of the kind are told apart by a number.
    fn is_numbered(self) -> bool {
        matches!(self, Cuda | TensorRt | DirectMl)
    }

    /// The id of a device.
    pub(crate) fn id(self, number: u32) -> String {
        if self.is_numbered() {
            format!("ort:{}:{number}", self.name())
        } else {
            format!("ort:{}", self.name())
        }
    }

    /// The provider and number of an id such as `ort:cuda:0`; `ort` alone is the processor.
    pub(crate) fn parse(id: &str) -> Result<(Self, u32), String> {
        let mut parts = id.split(':').skip(1);
        let name = parts.next().unwrap_or("cpu");
        let provider = Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|p| p.name()).collect();
            format!("there is no provider `{name}`; there are {}", known.join(", "))
        })?;
        let number = parts.next();
        match number.map(str::parse::<u32>) {
            None => Ok((provider, 0)),
            Some(Ok(number)) if provider.is_numbered() && parts.next().is_none() => Ok((provider, number)),
            _ => Err(format!("`{id}` is no device; `{}` is one", provider.id(0))),
        }
    }

    /// Set up for device `number` with options of its own.
    pub(crate) fn dispatch(self, number: u32, options: &[(String, String)]) -> ExecutionProviderDispatch {
        fn built<P>(mut provider: P, options: &[(String, String)]) -> ExecutionProviderDispatch
        where
            P: ep::ArbitrarilyConfigurableExecutionProvider + Into<ExecutionProviderDispatch>,
        {
            for (key, value) in options {
                provider = provider.with_arbitrary_config(key, value);
            }
            provider.into()
        }
        let number = number.to_string();
        let built = match self {
            Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            Cuda => built(ep::CUDA::default().with_arbitrary_config("device_id", number), options),
            TensorRt => built(ep::TensorRT::default().with_arbitrary_config("device_id", number), options),
            CoreMl => built(ep::CoreML::default(), options),
            DirectMl => ep::DirectML::default().with_device_id(number.parse().unwrap_or(0)).build(),
            OpenVino => built(ep::OpenVINO::default(), options),
        };
        built.error_on_failure()
    }

    /// Whether it takes options of its own.
    pub(crate) fn is_configurable(self) -> bool {
        !matches!(self, Cpu | DirectMl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_a_provider_and_a_number() {
        assert_eq!(Provider::parse("ort"), Ok((Cpu, 0)));
        assert_eq!(Provider::parse("ort:cpu"), Ok((Cpu, 0)));
        assert_eq!(Provider::parse("ort:cuda:1"), Ok((Cuda, 1)));
        for wrong in ["ort:cpu:0", "ort:cuda:x", "ort:cuda:0:1", "ort:toaster"] {
            assert!(Provider::parse(wrong).is_err(), "{wrong}");
        }
        for provider in Provider::ALL {
            assert_eq!(Provider::parse(&provider.id(0)), Ok((provider, 0)));
        }
    }
}

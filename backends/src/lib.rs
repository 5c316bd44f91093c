pub mod drivers;
pub mod scenario;

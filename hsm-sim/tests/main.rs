//! The engine driven through `Link::call`, as the module and the node drive it.

mod sim {
    pub mod cluster;
    pub mod derive;
    pub mod docs;
    pub mod eddsa;
    pub mod fields;
    pub mod fips;
    pub mod keys;
    pub mod otp;
    pub mod policy;
    pub mod public;
    pub mod rig;
    pub mod shared;
    pub mod users;
    pub mod wrapping;
}
